//! `valetkey report`: what still needs somebody's eyes.

use valetkey_api::Review;
use valetkey_approval::visible;
use valetkey_approver::{close_review, reviews};

use crate::approver;
use crate::args::{ReportCommand, ReviewArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Runs a `report` command.
pub(crate) fn command(command: ReportCommand) -> Result<(), Fail> {
    match command {
        ReportCommand::Review(args) => review(&args),
    }
}

/// Lists the open reviews of emergencies, or closes one.
fn review(args: &ReviewArgs) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let mut all = reviews(&mut operator)?.reviews;
    if !args.all {
        all.retain(|review| review.is_open);
    }
    let Some(which) = &args.close else {
        return list(&all, args.json);
    };
    let mut fitting = all.iter().filter(|review| {
        let id = review.emergency.to_string();
        id == *which || id.ends_with(which.as_str())
    });
    let (Some(review), None) = (fitting.next(), fitting.next()) else {
        return Err(Fail::new(
            Status::Failed,
            "no open review, or more than one, has this digest",
        )
        .hinted("`valetkey report review` lists them"));
    };
    show(review);
    let mut ask = approver::asker(args.passphrase.passphrase_fd)?;
    let me = approver::me(&mut operator, &home::paths()?, &mut *ask)?;
    let findings = args.findings.as_deref().unwrap_or_default();
    close_review(&mut operator, &me.key, &me.name, review.emergency, findings)?;
    out::line("closed");
    Ok(())
}

fn list(reviews: &[Review], json: bool) -> Result<(), Fail> {
    if json {
        out::json(&reviews);
        return Ok(());
    }
    if reviews.is_empty() {
        out::error("no review is open");
    }
    reviews.iter().for_each(show);
    Ok(())
}

fn show(review: &Review) {
    let (item, asked) = (&review.item, review.item.asked());
    let state = if review.is_open { "open" } else { "closed" };
    out::line(&format!("{}  {state}", review.emergency));
    out::line(&format!(
        " by           {} at {}, for {} minutes",
        visible(item.opened_by()),
        item.opened_at(),
        asked.minutes
    ));
    out::line(&format!(" session      {}", review.session));
    for grant in &asked.scope {
        let resource = grant.resource.to_string();
        out::line(&format!(
            " scope        {}  {}",
            grant.actions,
            visible(&resource)
        ));
    }
    out::line(&format!(" because      {}", visible(&asked.because)));
    if let Some(ticket) = &asked.ticket {
        out::line(&format!(" ticket       {}", visible(ticket)));
    }
    if let Some(findings) = item.findings() {
        out::line(&format!(" findings     {}", visible(findings)));
    }
}
