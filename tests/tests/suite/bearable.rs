//! What keeps questions bearable: the files of a folder that are wanted at one time are one question.

use std::sync::Arc;

use valetkey_tests::Home;

use super::needs_cells;
use super::workloads::{Scripted, TASK, Wanted, lacks_a_program};

#[test]
fn forty_files_of_a_folder_are_one_question() {
    needs_cells!();
    if lacks_a_program() {
        return;
    }
    let home = Arc::new(Home::new());
    for number in 0..40 {
        home.write(&format!("Reports/{number:02}.csv"), format!("{number}\n"));
    }
    let person = Scripted::start(&home);
    let all = (0..40).map(|number| Wanted {
        actions: ["read".to_owned()].into(),
        path: home.path(&format!("Reports/{number:02}.csv")),
    });
    person.approved.lock().expect("the list").extend(all);
    let script = "import threading as t\n\
        all = t.Barrier(40)\n\
        def read(n):\n    \
            all.wait()\n    \
            text = open(f'Reports/{n:02}.csv').read()\n    \
            print(text, end='', flush=True)\n\
        readers = [t.Thread(target=read, args=(n,)) for n in range(40)]\n\
        [r.start() for r in readers]\n[r.join() for r in readers]\n";
    let ended = home
        .run(
            &["--purpose", "sum up the reports"],
            &["/usr/bin/python3", "-c", script],
        )
        .within(TASK)
        .done()
        .ok();
    let mut read: Vec<u32> = ended
        .text()
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    read.sort_unstable();
    assert_eq!(read, (0..40).collect::<Vec<_>>(), "{}", ended.errors());
    let asked = person.asked();
    drop(person);
    println!("40 files read at once: {asked} prompts");
    // One, unless this machine is so busy that they do not come within a moment of each other.
    assert!((1..=3).contains(&asked), "{asked} prompts");
    home.verify();
}
