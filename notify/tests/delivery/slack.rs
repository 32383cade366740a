//! One Slack message through the life of an alert: posted, edited, posted anew when it is gone.

use crate::support::{Act, Received, Sink, message, quick, start};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_notify::*;

/// Slack's Web API as far as its documentation describes `chat.postMessage` and `chat.update`: messages are known
/// by channel and timestamp, and only what is there can be changed.
#[derive(Debug, Default)]
struct Workspace {
    /// (ts, text), in the order of posting.
    messages: Vec<(String, String)>,
}

impl Workspace {
    fn answer(&mut self, request: &Received) -> Act {
        let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let text = body["text"].as_str().unwrap_or_default().to_owned();
        let said = if request.line.contains("chat.postMessage") {
            let ts = format!("1700000000.{:06}", self.messages.len());
            self.messages.push((ts.clone(), text));
            serde_json::json!({"ok": true, "channel": "C0123", "ts": ts})
        } else {
            let ts = body["ts"].as_str().unwrap_or_default();
            match self.messages.iter_mut().find(|(known, _)| known == ts) {
                Some(message) if body["channel"] == "C0123" => {
                    message.1 = text;
                    serde_json::json!({"ok": true, "channel": "C0123", "ts": ts})
                }
                Some(_) => serde_json::json!({"ok": false, "error": "channel_not_found"}),
                None => serde_json::json!({"ok": false, "error": "message_not_found"}),
            }
        };
        Act::Answer(200, Vec::new(), said.to_string())
    }
}

struct Slack {
    workspace: Arc<Mutex<Workspace>>,
    sink: Sink,
}

impl Slack {
    async fn start() -> Self {
        let workspace = Arc::new(Mutex::new(Workspace::default()));
        let of_sink = workspace.clone();
        let sink = Sink::start(move |request| of_sink.lock().unwrap().answer(request)).await;
        Self { workspace, sink }
    }

    fn http(&self, method: &str, text: &str, channel: bool) -> HttpMessage {
        let url = SecretUrl::parse(&format!("http://127.0.0.1:{}/api/{method}", self.sink.port)).unwrap();
        // chat.postMessage takes a name; chat.update needs the id, which the reply has.
        let body = match channel {
            true => serde_json::json!({"channel": "#alerts", "text": text}),
            false => serde_json::json!({"text": text}),
        };
        HttpMessage::post_json(Some(url), body.to_string(), HttpReply::slack_api())
    }

    fn post(&self, key: &str, text: &str) -> Outgoing {
        let payload = Payload::Http(self.http("chat.postMessage", text, true));
        Outgoing { payload, ..message(key, "group", "slack", "") }
    }

    fn edit(&self, key: &str, of: &str, text: &str) -> Outgoing {
        let otherwise = self.http("chat.postMessage", text, true);
        let edit = self.http("chat.update", text, false).referring(Reference::slack_edit(of, otherwise));
        Outgoing { payload: Payload::Http(edit), ..message(key, "group", "slack", "") }
    }

    fn texts(&self) -> Vec<String> {
        self.workspace.lock().unwrap().messages.iter().map(|(_, text)| text.clone()).collect()
    }
}

#[tokio::test]
async fn one_message_through_the_life_of_an_alert() {
    let slack = Slack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = [("slack", quick(&slack.sink.url()))];
    let running = start(folder.path(), &settings);
    let batch = [slack.post("k-1", "firing"), slack.edit("k-2", "k-1", "resolved")];
    running.outbox.enqueue(&batch).unwrap();
    running.until_empty(Duration::from_secs(30)).await;
    assert_eq!(slack.texts(), ["resolved"]);
    // After a restart the reply is still known, and an edit of an edit finds the message, too.
    drop(running.stop().await);
    let running = start(folder.path(), &settings);
    running.outbox.enqueue(&[slack.edit("k-3", "k-2", "amended")]).unwrap();
    running.until_empty(Duration::from_secs(30)).await;
    assert_eq!(slack.texts(), ["amended"]);
}

#[tokio::test]
async fn a_message_that_is_gone_is_posted_anew_and_edited_from_then_on() {
    let slack = Slack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("slack", quick(&slack.sink.url()))]);
    running.outbox.enqueue(&[slack.post("k-1", "firing")]).unwrap();
    running.until_empty(Duration::from_secs(30)).await;
    // Somebody deletes it.
    slack.workspace.lock().unwrap().messages[0].0 = "deleted".to_owned();
    running.outbox.enqueue(&[slack.edit("k-2", "k-1", "more"), slack.edit("k-3", "k-1", "resolved")]).unwrap();
    running.until_empty(Duration::from_secs(30)).await;
    assert_eq!(slack.texts(), ["firing", "resolved"]);
    let details: BTreeMap<_, _> = running.finish().await.1.into_iter().map(|a| (a.key, a.detail)).collect();
    assert!(details["k-2"].contains("message_not_found"), "{details:?}");
    assert_eq!(details["k-3"], "");
}

#[tokio::test]
async fn without_a_first_message_the_edit_is_posted() {
    let slack = Slack::start().await;
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("slack", quick(&slack.sink.url()))]);
    running.outbox.enqueue(&[slack.edit("k-2", "k-1", "resolved"), slack.edit("k-3", "k-1", "amended")]).unwrap();
    running.until_empty(Duration::from_secs(30)).await;
    assert_eq!(slack.texts(), ["amended"], "posted once, then edited");
    assert_eq!(slack.sink.received().len(), 2);
}
