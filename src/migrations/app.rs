//! Our migrations as files of an app that has migrations of its own.

use anyhow::{Context, bail, ensure};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

use super::MIGRATIONS;
use super::adopt::{self, Adoption};
use super::apply::LOCK;
use super::history::is_from_clone;

/// One of our migrations in an app's folder of migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// `{version}_carousel_{name}.sql`. The version fits into the app's, so that its `supabase db push` takes it as the next one.
    pub name: String,
    /// What belongs into it.
    pub text: String,
    /// Whether it is there.
    pub state: State,
}

/// Whether a file is there, by the name of its migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is to be written.
    Missing,
    /// It is there.
    There,
    /// It is there, and somebody has changed it.
    Changed,
}

/// The files that an app is to have, in order: those that are there as they are, and the missing ones under versions that come after all others.
///
/// `there` has the files of its folder with their texts, `remote` the CLI's history of its database as far as it is known. What was pushed
/// there from a clone of our repository keeps its version, by which the CLI looks for its file.
///
/// With an adoption, one file takes the place of all that there are today. Where it is already, only later ones are missing.
///
/// # Errors
/// When the newest version is no time, so that none comes after it; with an adoption also when some of ours are there without it.
pub fn plan(
    there: &[(String, String)],
    remote: &[(String, String)],
    adoption: Option<&Adoption>,
    now: OffsetDateTime,
) -> anyhow::Result<Vec<File>> {
    let versions = there.iter().filter_map(|(file, _)| file.split('_').next()).filter(|version| is_version(version));
    let newest = versions.chain(remote.iter().map(|(version, _)| version.as_str())).max();
    let mut next = PrimitiveDateTime::new(now.date(), now.time());
    if let Some(newest) = newest.filter(|newest| *newest >= written(next).as_str()) {
        let newest = read(newest).with_context(|| {
            format!("the newest migration has the version {newest}, which is no time such as 20261201093000: rename it, so that others can come after it")
        })?;
        next = newest + Duration::SECOND;
    }
    let mut files = Vec::new();
    let adopted = there.iter().find(|(file, _)| is_named(file, adopt::FILE));
    if let Some((name, text)) = adopted {
        files.push(File { name: name.clone(), text: text.clone(), state: State::There });
    } else if let Some(adoption) = adoption {
        if let Some((file, _)) = there.iter().find(|(file, _)| MIGRATIONS.iter().any(|ours| is_ours(ours, file))) {
            bail!("{file} is there already: an adoption comes in place of carousel's migrations, before any of them");
        }
        let name = format!("{}_{}", written(next), adopt::FILE);
        return Ok(vec![File { name, text: adopt::file(adoption), state: State::Missing }]);
    }
    let is_within = |name: &str| adopted.is_some_and(|(_, text)| text.contains(&format!("{}{name}, ", adopt::MARK)));
    let single = MIGRATIONS.iter().filter(|(_, name, _)| !is_within(name)).map(|ours| {
        let (version, name, text) = *ours;
        let text = wrapped(name, text);
        if let Some((file, found)) = there.iter().find(|(file, _)| is_ours(ours, file)) {
            // What stands around it may be an earlier version's, and its line ends a system's.
            let is_as_it_was = found.replace("\r\n", "\n").contains(ours.2);
            let state = if is_as_it_was { State::There } else { State::Changed };
            return Ok(File { name: file.clone(), text, state });
        }
        let pushed = remote.iter().any(|(known, told)| is_from_clone(ours, known, told));
        let version = if pushed { version.to_owned() } else { written(next) };
        next += if pushed { Duration::ZERO } else { Duration::SECOND };
        ensure!(is_version(&version), "no version comes after {version}");
        Ok(File { name: format!("{version}_carousel_{name}.sql"), text, state: State::Missing })
    });
    for file in single {
        files.push(file?);
    }
    Ok(files)
}

/// Whether a file has this name behind its version.
fn is_named(file: &str, name: &str) -> bool {
    file.split_once('_').is_some_and(|(version, rest)| is_version(version) && rest == name)
}

/// Whether a file is this migration: in a clone of our repository, or among an app's own.
fn is_ours((version, name, _): &(&str, &str, &str), file: &str) -> bool {
    file == format!("{version}_{name}.sql") || is_named(file, &format!("carousel_{name}.sql"))
}

/// A migration's text as it stands in an app: it does nothing where the migration is applied, whichever tool did that. So the same files fit a
/// database of one's own machine, one that `carousel migrate` has set up, and one that was pushed to.
pub fn wrapped(name: &str, text: &str) -> String {
    let [file, quoted] = ["$carousel_file$", "$carousel_text$"];
    let quoted_text = format!("{quoted}\n{text}{quoted}");
    format!(
        "-- The migration \"{name}\" of carousel, written by `carousel init`, which knows it by its name. Leave it as it is.
do {file}
begin
  -- `carousel migrate` may be at it.
  perform pg_advisory_xact_lock({LOCK});
  if to_regclass('carousel_private.migrations') is not null then
    if exists (select from carousel_private.migrations where name = '{name}') then
      return;
    end if;
  elsif to_regclass('supabase_migrations.refinery_schema_history') is not null then
    if exists (select from supabase_migrations.refinery_schema_history where name = '{name}') then
      return;
    end if;
  end if;
  execute {quoted_text};
end
{file};
"
    )
}

fn is_version(text: &str) -> bool {
    text.len() == 14 && text.bytes().all(|letter| letter.is_ascii_digit())
}

fn written(time: PrimitiveDateTime) -> String {
    let form = format_description!("[year][month][day][hour][minute][second]");
    time.format(form).unwrap_or_default()
}

fn read(version: &str) -> Option<PrimitiveDateTime> {
    let form = format_description!("[year][month][day][hour][minute][second]");
    PrimitiveDateTime::parse(version, form).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2027-01-02 03:04:05 UTC);

    fn names(files: &[File]) -> Vec<&str> {
        files.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn versions_are_times_after_all_others() {
        let planned = plan(&[], &[], None, NOW).unwrap();
        assert_eq!(
            names(&planned)[..2],
            ["20270102030405_carousel_guard.sql", "20270102030406_carousel_foundation.sql"]
        );
        let theirs = [("20270102235959_theirs.sql".to_owned(), String::new()), ("readme.md".to_owned(), String::new())];
        assert_eq!(names(&plan(&theirs, &[], None, NOW).unwrap())[0], "20270103000000_carousel_guard.sql");
        let remote = [("20280101000000".to_owned(), "somebody's".to_owned())];
        assert_eq!(names(&plan(&theirs, &remote, None, NOW).unwrap())[0], "20280101000001_carousel_guard.sql");
        let none = [("20279999000000_theirs.sql".to_owned(), String::new())];
        assert!(plan(&none, &[], None, NOW).unwrap_err().to_string().contains("20279999000000"));
    }

    #[test]
    fn what_is_there_stays_and_what_is_missing_comes_after_it() {
        let mut there: Vec<_> =
            plan(&[], &[], None, NOW).unwrap().into_iter().map(|file| (file.name, file.text)).collect();
        let (last, _) = there.pop().unwrap();
        there[0].1 = there[0].1.replace("nothing was changed", "all is well");
        there[1].1 = there[1].1.replace('\n', "\r\n");
        let again = plan(&there, &[], None, datetime!(2027-06-01 00:00:00 UTC)).unwrap();
        assert_eq!((again[0].state, again[1].state), (State::Changed, State::There));
        let added = again.last().unwrap();
        assert_eq!(added.state, State::Missing);
        assert_eq!(added.name, format!("20270601000000_{}", last.split_once('_').unwrap().1));
    }

    #[test]
    fn what_was_pushed_from_a_clone_keeps_its_version() {
        let (version, name, _) = MIGRATIONS[1];
        let remote = [(version.to_owned(), name.to_owned())];
        assert_eq!(plan(&[], &remote, None, NOW).unwrap()[1].name, format!("{version}_carousel_{name}.sql"));
        let theirs = [(version.to_owned(), "of_the_same_second".to_owned())];
        assert_ne!(plan(&[], &theirs, None, NOW).unwrap()[1].name, format!("{version}_carousel_{name}.sql"));
    }

    #[test]
    fn an_adoption_is_one_file_and_later_ones_come_behind_it() {
        let theirs = ("20260101000000_theirs.sql".to_owned(), String::new());
        let adoption = Adoption::default();
        let planned = plan(std::slice::from_ref(&theirs), &[], Some(&adoption), NOW).unwrap();
        assert_eq!(names(&planned), ["20270102030405_carousel_adoption.sql"]);
        let mut there = vec![theirs, (planned[0].name.clone(), planned[0].text.clone())];
        let again = plan(&there, &[], Some(&adoption), NOW).unwrap();
        assert_eq!(again.iter().map(|file| file.state).collect::<Vec<_>>(), [State::There]);
        // As one that was written before the last migration was.
        let (version, last, _) = MIGRATIONS[MIGRATIONS.len() - 1];
        there[1].1 = there[1].1.replace(&format!("{}{last}, {version}", adopt::MARK), "");
        let later = plan(&there, &[], None, NOW).unwrap();
        assert_eq!((later.len(), later[1].state), (2, State::Missing));
        assert!(later[1].name.ends_with(&format!("_carousel_{last}.sql")), "{}", later[1].name);
        let early = [("20270101000000_carousel_guard.sql".to_owned(), String::new())];
        assert!(plan(&early, &[], Some(&adoption), NOW).unwrap_err().to_string().contains("carousel_guard"));
    }

    #[test]
    fn no_text_ends_its_own_quotes() {
        for (_, name, text) in MIGRATIONS {
            assert!(!text.contains("$carousel_"), "{name}");
        }
    }
}
