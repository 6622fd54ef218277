//! Rights: every role may do what the schema says, and those who come through the API no more.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Error};

use super::Report;
use super::promises::{self, Grant, Promises};
use super::schema::line;
use crate::database::quoted;

/// Who comes through the API from a browser.
const CLIENTS: [&str; 2] = ["anon", "authenticated"];
/// The role that a worker is given.
const WORKER: &str = "carousel_worker";

/// What the roles $2 hold on the relations $1: the columns, or `*` where a privilege is one of the whole relation.
const HELD: &str = "
    select relation.name, role.name as role, privilege, case
        when privilege = 'delete' then array(select '*' where has_table_privilege(role.name, oid, privilege))
        else array(
            select attname::text from pg_attribute
            where attrelid = oid and attnum > 0 and not attisdropped and has_column_privilege(role.name, oid, attnum, privilege)
        )
    end as held, array(
        select attname::text from pg_attribute where attrelid = oid and attnum > 0 and not attisdropped
    ) as columns
    from (
        select class.oid, format('%s.%s', nspname, relname) as name
        from pg_class class join pg_namespace on pg_namespace.oid = relnamespace
    ) as relation
    cross join (select rolname::text as name from pg_roles where rolname = any($2)) as role
    cross join unnest(array['select', 'insert', 'update', 'delete']) as privilege
    where relation.name = any($1)";

/// Which of the roles $3 lack the right to use the schema or execute the function $2, counted from 1.
const CLOSED: &str = "
    select ordinal
    from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (kind, name, role, ordinal)
    where exists (select from pg_roles where rolname = wanted.role) and not case kind
        when 'schema' then has_schema_privilege(wanted.role, name, 'usage')
        else coalesce(has_function_privilege(wanted.role, to_regprocedure(name)::oid, 'execute'), true)
    end";

/// The rights on relations: by relation, role and privilege, the columns.
type Rights = BTreeMap<(String, String, String), BTreeSet<String>>;

/// Looks at the rights of all roles that the schema gives any to, and of the one that we are.
pub(super) async fn look(report: &mut Report, client: &Client) -> Result<(), Error> {
    let me: String = client.query_one("select current_user::text", &[]).await?.get(0);
    let promises = promises::of(client).await?;
    let named: BTreeSet<&str> = promises.grants.iter().flat_map(|grant| &grant.roles).map(String::as_str).collect();
    let statement =
        "select name from unnest($1::text[]) as name where not exists (select from pg_roles where rolname = name)";
    let roles: Vec<&str> = named.iter().copied().chain(CLIENTS).chain([me.as_str()]).collect();
    let mut faults: Vec<(String, String)> = client
        .query(statement, &[&roles])
        .await?
        .iter()
        .map(|row| {
            let role: String = row.get(0);
            (
                format!("there is no role {role}"),
                "run `carousel migrate` as postgres on a project of Supabase".to_owned(),
            )
        })
        .collect();

    let tables: Vec<&str> = tables(promises).collect();
    let (mut held, mut columns) = (Rights::new(), BTreeMap::new());
    for row in client.query(HELD, &[&tables, &roles]).await? {
        let table: String = row.get("name");
        let some: Vec<String> = row.get("held");
        let all: Vec<String> = row.get("columns");
        columns.entry(table.clone()).or_insert(all);
        held.insert((table, row.get("role"), row.get("privilege")), some.into_iter().collect());
    }
    for grant in &promises.grants {
        for role in &grant.roles {
            faults.extend(lacking(grant, role, &held, &columns).map(|what| (what, line(&grant.statement))));
        }
    }
    faults.extend(closed(client, promises, None).await?);
    faults.extend(surplus(promises, &held, &columns));
    faults.extend(exposed(client).await?);
    // One statement gives several privileges: it is named once.
    let mut seen = BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.clone()));
    report.faults("grants", "every role may do what it should, and clients no more", faults);

    if me == WORKER {
        report.passed("role", "we are carousel_worker");
        return Ok(());
    }
    let of_worker = promises.grants.iter().filter(|grant| grant.roles.iter().any(|role| role == WORKER));
    let mut lacks: Vec<String> = of_worker.filter_map(|grant| lacking(grant, &me, &held, &columns)).collect();
    lacks.extend(closed(client, promises, Some(&me)).await?.into_iter().map(|(what, _)| what));
    let faults = match lacks.as_slice() {
        [] => Vec::new(),
        [one] => vec![(one.clone(), format!("grant carousel_worker to {};", quoted(&me)))],
        [first, rest @ ..] => {
            vec![(format!("{first}, and {} more", rest.len()), format!("grant carousel_worker to {};", quoted(&me)))]
        }
    };
    report.faults("role", format!("{me} may do what carousel_worker may"), faults);
    Ok(())
}

/// Tables and views that rights are given on.
fn tables(promises: &Promises) -> impl Iterator<Item = &str> {
    let names: BTreeSet<&str> =
        promises.grants.iter().filter(|grant| grant.kind == "table").map(|grant| grant.object.as_str()).collect();
    names.into_iter()
}

/// What `role` may not do although `grant` says so. A table that is missing is told elsewhere.
fn lacking(grant: &Grant, role: &str, held: &Rights, columns: &BTreeMap<String, Vec<String>>) -> Option<String> {
    if grant.kind != "table" {
        return None;
    }
    let all = columns.get(&grant.object)?;
    let parts: Vec<String> = grant
        .privileges
        .iter()
        .filter_map(|(privilege, named)| {
            let held = held.get(&(grant.object.clone(), role.to_owned(), privilege.clone()))?;
            let whole = [String::from("*")];
            let wanted = match (privilege.as_str(), named.as_slice()) {
                ("delete", _) => &whole[..],
                (_, []) => all,
                (_, named) => named,
            };
            let missing: Vec<&str> =
                wanted.iter().filter(|column| !held.contains(*column)).map(String::as_str).collect();
            match missing.len() {
                0 => None,
                all if all == wanted.len() => Some(privilege.clone()),
                _ => Some(format!("{privilege} {}", missing.join(", "))),
            }
        })
        .collect();
    (!parts.is_empty()).then(|| format!("the role {role} may not {} in {}", parts.join(" or "), grant.object))
}

/// Schemas and functions that a role may not use although the schema says so; for `instead`, where it is to have the worker's rights.
async fn closed(client: &Client, promises: &Promises, instead: Option<&str>) -> Result<Vec<(String, String)>, Error> {
    let wanted: Vec<(&Grant, &str)> = promises
        .grants
        .iter()
        .filter(|grant| grant.kind != "table")
        .flat_map(|grant| grant.roles.iter().map(move |role| (grant, role.as_str())))
        .filter_map(|(grant, role)| match instead {
            None => Some((grant, role)),
            Some(instead) => (role == WORKER).then_some((grant, instead)),
        })
        .collect();
    let kinds: Vec<&str> = wanted.iter().map(|(grant, _)| grant.kind).collect();
    let names: Vec<&str> = wanted.iter().map(|(grant, _)| grant.object.as_str()).collect();
    let roles: Vec<&str> = wanted.iter().map(|(_, role)| *role).collect();
    let rows = client.query(CLOSED, &[&kinds, &names, &roles]).await?;
    let found = rows.iter().filter_map(|row| wanted.get(usize::try_from(row.get::<_, i64>(0)).ok()?.checked_sub(1)?));
    Ok(found
        .map(|(grant, role)| {
            (format!("the role {role} may not use {} {}", grant.kind, grant.object), line(&grant.statement))
        })
        .collect())
}

/// What clients may do beyond the schema: a forged status, somebody's cost.
fn surplus(promises: &Promises, held: &Rights, columns: &BTreeMap<String, Vec<String>>) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    for ((table, role, privilege), held) in held {
        if !CLIENTS.contains(&role.as_str()) {
            continue;
        }
        let ours = || promises.grants.iter().filter(|grant| &grant.object == table && grant.roles.contains(role));
        let given = ours().flat_map(|grant| &grant.privileges).filter(|(name, _)| name == privilege);
        let mut allowed = BTreeSet::new();
        for (name, named) in given {
            match (name.as_str(), named.as_slice()) {
                ("delete", _) => allowed.extend(["*"]),
                (_, []) => allowed.extend(columns.get(table).into_iter().flatten().map(String::as_str)),
                (_, named) => allowed.extend(named.iter().map(String::as_str)),
            }
        }
        let more: Vec<&str> = held.iter().map(String::as_str).filter(|column| !allowed.contains(column)).collect();
        if more.is_empty() {
            continue;
        }
        let what = if more.len() > 4 {
            format!("{} and {} more columns", more[..3].join(", "), more.len() - 3)
        } else {
            more.join(", ")
        };
        let what = if privilege == "delete" { "rows".to_owned() } else { what };
        let again = ours().map(|grant| line(&grant.statement)).collect::<BTreeSet<_>>();
        let mend = [format!("revoke all on {table} from public, {role};")].into_iter().chain(again);
        faults.push((
            format!("clients may do what is not theirs: the role {role} may {privilege} {what} in {table}"),
            mend.collect::<Vec<_>>().join(" "),
        ));
    }
    faults
}

/// Whether those who come through the API may enter the private schema.
async fn exposed(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let statement = "
        select rolname::text from pg_roles
        where rolname in ('anon', 'authenticated', 'service_role') and has_schema_privilege(oid, 'carousel_private', 'usage')";
    let rows = client.query(statement, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| row.get::<_, String>(0))
        .map(|role| {
            (
                format!("the role {role}, which comes through the API, may enter carousel_private"),
                format!("revoke all on schema carousel_private from public, {role};"),
            )
        })
        .collect())
}
