-- Says that worker $1 lives: $2 name, $3 version, $4 concurrency, $5 jobs it works on, $6 state.
insert into carousel_private.workers (id, name, version, concurrency, running, state)
values ($1, $2, $3, $4, $5, $6)
on conflict (id) do update set running = excluded.running, state = excluded.state, seen_at = now()
