//! probe
use crate::testkit::bundle;
#[test] fn p() { let o=std::env::var("O").unwrap(); let c=std::env::var("C").unwrap_or_default(); let n:usize=std::env::var("N").unwrap().parse().unwrap();
 let b=std::env::var("B").unwrap_or("x := ".into());
 let text=format!("package valetkey\n{b}{}1{}\n", o.replace("\\n","\n").repeat(n), c.replace("\\n","\n").repeat(n)); let r=bundle(&text); println!("RES {:?}", r.map(|_|()).map_err(|e|e.to_string())); }
