//! Personal data stay out of the ledger and the queues.

use intercom_bulk::domain::run::State;
use serde_json::Value;

use super::api::On;
use crate::accident::Accident;
use crate::intercom::TOKEN;
use crate::plans::{faults, users, with_attributes};
use crate::privacy::{PERSONAL, PLAN, dumped, nothing_of, people};

super::scenarios! {
    on_each_api: [ledger_and_queues_have_no_personal_data];
}

async fn ledger_and_queues_have_no_personal_data(on: On) {
    let (lose, limit) = on.pick(
        ("lose-bulk=2", "limit-bulk=1"),
        ("lose-call=write:9", "limit-call=write:30"),
        ("lose-call=bulk:2", "limit-call=bulk:1"),
    );
    let texts = ["item-error=8%:invalid:email zq7mail7@elsewhere.example is taken", lose, limit];
    let attributes = ["has avatar:boolean", "account:string", "rank:integer", "length:integer"];
    let options = intercom_simulator::Options { faults: faults(&texts), ..users(350) };
    let accidents = vec![Accident::DeliveredTwice];
    let settings = crate::pipeline::settings();
    let pipeline = on.with(PLAN, with_attributes(&attributes, options), settings, accidents).await;
    people(&pipeline);
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert!(report.errors.iter().any(|row| row.message.contains("[e-mail]")), "Intercom's words were read");
    let secrets = [&PERSONAL[..], &[TOKEN]].concat();
    let sent = pipeline.sqs.ever_sent();
    assert!(sent.iter().any(|body| body.contains("has avatar")));
    nothing_of("a message", &sent.join("\n"), &secrets);
    nothing_of("the ledger", &dumped(&pipeline).await, &secrets);
}
