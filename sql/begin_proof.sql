-- Writes down the random number $1, which no other database has, and forgets those of an hour ago.
with forgotten as (
    delete from carousel_private.proofs where made_at < now() - interval '1 hour'
)
insert into carousel_private.proofs (nonce) values ($1)
