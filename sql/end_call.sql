-- Closes call $1, which will be tried again: $2 outcome, $3 the provider's request id, $4 whether it is known not to have been billed.
update carousel_private.provider_calls
set finished_at = now(), outcome = $2, request_id = $3, unbilled = $4
where id = $1 and finished_at is null
