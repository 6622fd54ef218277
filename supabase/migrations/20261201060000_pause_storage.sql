-- Storage that takes no pictures is left alone as the provider is, in a row of its own beside the provider's.

comment on table carousel_private.provider_budget is 'The rate that every worker with the same provider key shares, and how long the provider or Storage is left alone.';
comment on column carousel_private.provider_budget.provider is 'Name of the provider key; storage for the bucket.';
comment on function carousel_private.pause_left() is 'Seconds for which the provider or Storage is to be left alone; 0 when neither is.';
comment on column carousel_private.queue_health.paused_until is 'Until when the provider or Storage is left alone; null when neither is.';
