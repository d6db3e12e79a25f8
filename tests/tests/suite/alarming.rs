//! Alerts: what is unusual becomes an event with its evidence and is told at the operator door; a usual session raises nothing.

use std::time::Duration;

use valetkey_tests::Home;

use super::needs_cells;

#[test]
fn many_files_outside_of_the_workspace_raise_an_alert_and_a_usual_session_none() {
    needs_cells!();
    let home = Home::new();
    for number in 0..300 {
        home.write(&format!("work/{number}"), "line\n");
        home.write(&format!("mail/{number}"), "letter\n");
    }
    let (work, mail) = (home.path("work"), home.path("mail"));
    let work = work.to_str().expect("text");
    let usual = "cd work; cat * > all; mkdir out; for n in $(seq 300); do echo x > out/$n; done; rm -r out; grep -c line all";
    let time = Duration::from_secs(90);
    drop(
        home.run(&["--workspace", work], &["sh", "-c", usual])
            .within(time)
            .done()
            .ok(),
    );
    let grant = format!("{}=read", mail.display());
    let theft = "cat mail/* > work/stolen; sleep 60";
    let options = ["--workspace", work, "--grant", &grant];
    let session = home
        .run(&options, &["sh", "-c", theft])
        .within(time)
        .start();
    let alert = home.wait_for_event("alert.raised", |event| {
        event["attributes"]["rule"] == "many_files"
    });
    assert_eq!(alert["attributes"]["count"], 200);
    let trail = home.trail();
    let evidence = alert["attributes"]["evidence"]
        .as_str()
        .expect("ids")
        .split(' ');
    for id in evidence {
        let event = trail
            .iter()
            .find(|event| event["event_id"] == id)
            .expect("in the log");
        assert!(
            event["resource"]
                .as_str()
                .expect("a file")
                .contains("/mail/"),
            "{event}"
        );
        assert_eq!(event["session"], alert["session"]);
    }
    // The log was watched through the usual session before; it raised nothing.
    assert_eq!(home.events("alert.raised").len(), 1);
    let told = home
        .valetkey(["audit", "query", "--type", "alert", "--format", "ocsf"])
        .done()
        .ok()
        .json();
    assert_eq!(told["class_uid"], 2004);
    drop(session);
}
