-- Writes down the objects that carousel wrote down before more than $1 seconds and no row names, and says how many there were.
select carousel_private.sweep_objects(make_interval(secs => $1)) as found
