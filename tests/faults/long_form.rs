//! The long form: many jobs of several people, faults at random for as long as one likes, and the same invariants at the end.

mod crowd;
mod load;
mod schedule;

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::invariants::{Cost, faults, tails};
use crate::scene::{BOUND, Scene};
use crate::server::{Restartable, Stop};
use crowd::Crowd;
use load::Load;
use schedule::Schedule;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as CAROUSEL_FAULTS_SECONDS says, 60 by default"]
async fn long_form() {
    let seconds = variable("CAROUSEL_FAULTS_SECONDS").unwrap_or(60);
    let seed = variable("CAROUSEL_FAULTS_SEED").unwrap_or_else(|| rand::random_range(1..1_000_000));
    println!("seed {seed}, {seconds} s: again with CAROUSEL_FAULTS_SEED={seed} CAROUSEL_FAULTS_SECONDS={seconds}");
    let mut random = StdRng::seed_from_u64(seed);
    let (server, project) = Restartable::new().await;
    let scene = Scene::on(project).await;
    let mut load = Load::new(&scene).await;
    // Without them the others' waits are what theirs is compared with.
    let mut crowd = match variable("CAROUSEL_FAULTS_CROWD") {
        Some(0) => None,
        _ => Some(Crowd::new(&scene).await),
    };
    let mut schedule = Schedule::new(&scene, &server).await;

    let (began, mut told) = (Instant::now(), Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        load.act(&mut random).await;
        if let Some(crowd) = &mut crowd {
            crowd.act(&mut random).await;
        }
        schedule.act(&mut random).await;
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            load.mend().await;
            println!("{:>5} s  {}  {}", began.elapsed().as_secs(), load.line().await, schedule.line());
        }
    }

    schedule.heal().await;
    if let Some(crowd) = &mut crowd {
        crowd.leave().await;
        load.unwanted.extend(&crowd.unwanted);
        load.refused.append(&mut crowd.wrong);
    }
    println!("healed; waiting for the end of {} jobs", load.unfinished().await);
    let healed = Instant::now();
    // A backlog is no fault: the bound is for what a fault has held up, so it begins anew with each job that ends.
    let (mut least, mut since) = (i64::MAX, Instant::now());
    while since.elapsed() < BOUND {
        load.mend().await;
        let left = load.unfinished().await;
        if left < least {
            (least, since) = (left, Instant::now());
        }
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("all over {:.1} s after the last fault", healed.elapsed().as_secs_f32());
    schedule.finish().await;

    let provider_faults = schedule.counts.provider;
    // Calls that something struck, and those of jobs that were not wanted any more.
    let dropped = "select count(*) from carousel_private.provider_calls where job_id = any ($1)";
    let dropped = scene.count(dropped, &[&Vec::from_iter(load.unwanted.iter().copied())]).await.unsigned_abs();
    let struck = schedule.struck.len() as u64 + dropped;
    let cost = Cost { again: struck + provider_faults, open: struck as i64, orphans: usize::MAX };
    let (books, mut wrong) = faults(&scene, cost).await;
    wrong.extend(schedule.unexplained(&load.unwanted).await);
    wrong.append(&mut schedule.deserters);
    wrong.extend(load.refused.iter().map(|refusal| format!("a client was refused: {refusal}")));
    println!("\nseed {seed}");
    for (name, count) in schedule.counts.table() {
        println!("{name:<44}{count:>8}");
    }
    for (name, count) in load.table(&books).await {
        println!("{name:<44}{count:>8}");
    }
    for (name, count) in crowd.iter().flat_map(Crowd::table) {
        println!("{name:<44}{count:>8}");
    }
    println!("{:<44}{:>8}", "billed calls", books.billed);
    println!("{:<44}{:>8}", "bound: images, calls struck, provider faults", books.images as u64 + cost.again);
    println!("{:<44}{:>8}", "calls without an end", books.open);
    println!("{:<44}{:>8}", "objects that only the sweep found", books.orphans.len());
    assert!(wrong.is_empty(), "seed {seed}\n{}\n{}", wrong.join("\n"), tails(&scene));

    // What the sweep found goes, and nothing else.
    let _last = scene.worker().await;
    scene.rows("update carousel_private.storage_cleanup set due_at = now()", &[]).await;
    scene.until("select from carousel_private.storage_cleanup having count(*) = 0", &[]).await;
    let (_, wrong) = faults(&scene, Cost { orphans: 0, ..cost }).await;
    assert!(wrong.is_empty(), "after the sweep, seed {seed}\n{}", wrong.join("\n"));
    server.stop(Stop::Fast).await;
    server.start().await;
    server.end().await;
}
