-- Version 2: when a lost attempt ended (0 or 1 before: whether there was one), and what people may change at the
-- far end.
ALTER TABLE outbox RENAME COLUMN maybe TO maybe_1;
ALTER TABLE outbox ADD COLUMN doubt INTEGER;
UPDATE outbox SET doubt = maybe_1 WHERE maybe_1 <> 0;
ALTER TABLE outbox DROP COLUMN maybe_1;
CREATE INDEX outbox_held ON outbox (destination, id)
    WHERE state = 'acked' AND acked_over = 0 AND remote_id IS NOT NULL;
