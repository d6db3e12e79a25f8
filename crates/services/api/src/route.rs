//! The calls of a door as a table: a request is found in it once, at the edge, and becomes a value of the door's own type.

use std::str::FromStr;

use valetkey_model::ParseIdError;

use crate::{Problem, ProblemKind, Request};

/// What stands for one part of a path that differs from call to call.
const HOLE: &str = "{}";
/// How much of a path is said back in a problem.
const MAX_SHOWN: usize = 200;

/// One call of a door.
#[derive(Clone, Copy, Debug)]
pub struct Route<K> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path, with `{}` for each part that is an argument.
    pub path: &'static str,
    /// Which call it is.
    pub kind: K,
}

impl<K> Route<K> {
    /// A row of the table.
    pub const fn new(method: &'static str, path: &'static str, kind: K) -> Self {
        Self { method, path, kind }
    }
}

/// A request that was found among a door's calls.
#[derive(Debug)]
pub struct Found<'r, K> {
    /// Which call it is.
    pub kind: K,
    arguments: Vec<&'r str>,
}

impl<K> Found<'_, K> {
    /// The id that is the argument of that number.
    ///
    /// # Errors
    /// A problem that says what an id looks like.
    pub fn id<T: FromStr<Err = ParseIdError>>(&self, number: usize) -> Result<T, Problem> {
        let text = self.arguments.get(number).copied().unwrap_or_default();
        text.parse()
            .map_err(|error: ParseIdError| Problem::new(ProblemKind::Invalid, error.to_string()))
    }
}

/// Finds a request among the calls of a door.
///
/// # Errors
/// [`ProblemKind::NotFound`] when no call has this path, [`ProblemKind::Method`] when one has, by another method.
pub fn find<'r, K: Copy>(
    routes: &[Route<K>],
    request: &'r Request,
) -> Result<Found<'r, K>, Problem> {
    let mut other = None;
    for route in routes {
        let Some(arguments) = matched(route.path, &request.path) else {
            continue;
        };
        if route.method == request.method {
            return Ok(Found {
                kind: route.kind,
                arguments,
            });
        }
        other = Some(match other {
            None | Some("GET") if route.method == "GET" => "GET",
            None => route.method,
            Some(before) if before == route.method => before,
            Some(_) => "GET, POST",
        });
    }
    Err(match other {
        Some(allowed) => Problem::method(allowed),
        None => {
            let path: String = request.path.chars().take(MAX_SHOWN).collect();
            let detail = format!("this door has no {} {path}", request.method);
            Problem::new(ProblemKind::NotFound, detail)
        }
    })
}

fn matched<'p>(template: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut arguments = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(arguments),
            (Some(HOLE), Some(part)) if !part.is_empty() => arguments.push(part),
            (Some(own), Some(part)) if own == part && own != HOLE => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Peer;

    const ROUTES: [Route<u8>; 4] = [
        Route {
            method: "GET",
            path: "/v1/things",
            kind: 0,
        },
        Route {
            method: "POST",
            path: "/v1/things",
            kind: 1,
        },
        Route {
            method: "GET",
            path: "/v1/things/{}",
            kind: 2,
        },
        Route {
            method: "POST",
            path: "/v1/things/{}/end",
            kind: 3,
        },
    ];

    fn request(method: &str, path: &str) -> Request {
        Request {
            peer: Arc::new(Peer {
                uid: 0,
                pid: 1,
                pidfd: None,
            }),
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            body: Vec::new().into(),
        }
    }

    #[test]
    fn a_request_is_one_call_or_a_problem() {
        let kind = |method: &str, path: &str| {
            find(&ROUTES, &request(method, path))
                .map(|found| found.kind)
                .map_err(|problem| (problem.kind.status(), problem.allow))
        };
        assert_eq!(kind("GET", "/v1/things"), Ok(0));
        assert_eq!(kind("POST", "/v1/things"), Ok(1));
        assert_eq!(kind("GET", "/v1/things/x"), Ok(2));
        assert_eq!(kind("POST", "/v1/things/x/end"), Ok(3));
        assert_eq!(kind("DELETE", "/v1/things"), Err((405, Some("GET, POST"))));
        assert_eq!(kind("POST", "/v1/things/x"), Err((405, Some("GET"))));
        assert_eq!(kind("GET", "/v1/things/x/end"), Err((405, Some("POST"))));
        assert_eq!(kind("get", "/v1/things"), Err((405, Some("GET, POST"))));
        for path in [
            "",
            "/",
            "/v1",
            "/v1/things/",
            "v1/things",
            "//v1/things",
            "/v1/things//end",
            "/v1/things/x/end/",
            "/v1/things/x/y",
            "/v1/{}",
        ] {
            assert_eq!(kind("GET", path), Err((404, None)), "{path}");
        }
    }

    #[test]
    fn an_argument_that_is_no_id_is_said() {
        let asked = request("GET", "/v1/things/nonsense");
        let found = find(&ROUTES, &asked).expect("found");
        let problem = found.id::<valetkey_model::SessionId>(0).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(found.id::<valetkey_model::SessionId>(1).is_err());
    }
}
