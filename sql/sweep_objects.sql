-- Writes down the objects older than $1 seconds that no row names, and says how many there were.
select carousel_private.sweep_objects(make_interval(secs => $1)) as found
