//! Who is present in a channel, and what clients are told when that changes. No I/O.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Everyone that a channel's clients track, in the order of their coming.
#[derive(Default)]
pub struct Presences(Vec<Presence>);

struct Presence {
    member: Uuid,
    key: String,
    meta: Map<String, Value>,
}

impl Presences {
    /// The payload of `presence_state`: who is here now.
    pub fn state(&self) -> Value {
        grouped(self.0.iter().map(|presence| (presence.key.as_str(), &presence.meta)))
    }

    /// Adds a member, or replaces what it tracks; gives the payload of `presence_diff`.
    pub fn track(&mut self, member: Uuid, key: &str, tracked: &Map<String, Value>) -> Value {
        let left = self.remove(member);
        let mut meta = tracked.clone();
        meta.insert("phx_ref".to_owned(), Uuid::new_v4().simple().to_string().into());
        if let Some(before) = left.as_ref().and_then(|left| left.meta.get("phx_ref")) {
            meta.insert("phx_ref_prev".to_owned(), before.clone());
        }
        let joins = grouped([(key, &meta)]);
        self.0.push(Presence { member, key: key.to_owned(), meta });
        json!({ "joins": joins, "leaves": grouped(left.iter().map(|left| (left.key.as_str(), &left.meta))) })
    }

    /// Takes a member out; gives the payload of `presence_diff`, if it was there.
    pub fn untrack(&mut self, member: Uuid) -> Option<Value> {
        let left = self.remove(member)?;
        Some(json!({ "joins": {}, "leaves": grouped([(left.key.as_str(), &left.meta)]) }))
    }

    fn remove(&mut self, member: Uuid) -> Option<Presence> {
        let at = self.0.iter().position(|presence| presence.member == member)?;
        Some(self.0.remove(at))
    }
}

fn grouped<'a>(metas: impl IntoIterator<Item = (&'a str, &'a Map<String, Value>)>) -> Value {
    let mut keys = Map::new();
    for (key, meta) in metas {
        let entry = keys.entry(key).or_insert_with(|| json!({ "metas": [] }));
        if let Some(metas) = entry["metas"].as_array_mut() {
            metas.push(Value::Object(meta.clone()));
        }
    }
    Value::Object(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(name: &str) -> Map<String, Value> {
        Map::from_iter([("name".to_owned(), name.into())])
    }

    #[test]
    fn a_member_that_tracks_again_replaces_what_it_said() {
        let (mut presences, member) = (Presences::default(), Uuid::new_v4());
        let first = presences.track(member, "me", &tracked("a"));
        assert_eq!((&first["joins"]["me"]["metas"][0]["name"], &first["leaves"]), (&json!("a"), &json!({})));
        let second = presences.track(member, "me", &tracked("b"));
        assert_eq!(second["leaves"]["me"]["metas"][0]["name"], "a");
        let before = &first["joins"]["me"]["metas"][0]["phx_ref"];
        assert_eq!(&second["joins"]["me"]["metas"][0]["phx_ref_prev"], before);
        assert_eq!(presences.state()["me"]["metas"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn members_that_share_a_key_are_listed_under_it_until_they_leave() {
        let (mut presences, one, other) = (Presences::default(), Uuid::new_v4(), Uuid::new_v4());
        presences.track(one, "me", &tracked("phone"));
        presences.track(other, "me", &tracked("desk"));
        assert_eq!(presences.state()["me"]["metas"].as_array().map(Vec::len), Some(2));
        assert_eq!(presences.untrack(one).unwrap()["leaves"]["me"]["metas"][0]["name"], "phone");
        assert_eq!(presences.state()["me"]["metas"][0]["name"], "desk");
        assert_eq!(presences.untrack(one), None);
    }
}
