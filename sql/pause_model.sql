-- Leaves the model $1, which a job has chosen, alone for $2 seconds, for every worker; $3 says why.
insert into carousel_private.model_pauses as pause (model, paused_until, reason)
values ($1, now() + make_interval(secs => $2), $3)
on conflict (model) do update set
    paused_until = greatest(pause.paused_until, excluded.paused_until),
    reason = case when pause.paused_until > excluded.paused_until then pause.reason else excluded.reason end,
    updated_at = now()
