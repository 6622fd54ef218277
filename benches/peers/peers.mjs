// The queues of the npm registry that carousel is compared with, each in the mode that its own documentation recommends for speed and in its plain one.
import { makeWorkerUtils, run, Logger } from 'graphile-worker'
import pg from 'pg'
import { PgBoss } from 'pg-boss'

const silent = new Logger(() => () => {})
const bossOptions = (url, max) => ({ connectionString: url, max, useListenNotify: true, supervise: false, schedule: false })

/** A running worker of `peer`: `insert` adds one job, `close` ends it. `work` is called once a job. */
export async function open(peer, url, connections, concurrency, work) {
  if (peer === 'pg-boss') {
    const boss = new PgBoss(bossOptions(url, connections))
    boss.on('error', console.error)
    await boss.start()
    await boss.createQueue('noop', { notify: true })
    await boss.work('noop', { batchSize: concurrency, burstWhenBatchFull: true }, async (jobs) => {
      for (const job of jobs) await work(job)
    })
    return { insert: () => boss.send('noop', {}), close: () => boss.stop({ graceful: false }) }
  }
  const local = peer === 'graphile-worker, local queue'
  const preset = local
    ? { worker: { localQueue: { size: 500, refetchDelay: { durationMs: 1000 } }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } }
    : {}
  const pool = new pg.Pool({ connectionString: url, max: connections })
  const runner = await run({ pgPool: pool, concurrency, logger: silent, noHandleSignals: true, taskList: { noop: work }, preset })
  const close = async () => {
    await runner.stop()
    await pool.end()
  }
  return { insert: () => runner.addJob('noop', {}), close }
}

/** `jobs` waiting jobs. Returns what counts those that are left. */
export async function prepare(peer, url, jobs) {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  const count = (sql) => async () => Number((await pool.query(sql)).rows[0].count)
  if (peer === 'pg-boss') {
    const boss = new PgBoss(bossOptions(url, 2))
    await boss.start()
    await boss.createQueue('noop', { notify: true })
    for (let done = 0; done < jobs; done += 1000) await boss.insert('noop', Array.from({ length: Math.min(1000, jobs - done) }, () => ({ data: {} })))
    await boss.stop({ graceful: false })
    return count("select count(*) from pgboss.job where name = 'noop' and state <> 'completed'")
  }
  const utils = await makeWorkerUtils({ connectionString: url, logger: silent })
  await utils.migrate()
  await pool.query("select count(graphile_worker.add_job('noop', '{}'::json)) from generate_series(1, $1::int)", [jobs])
  await utils.release()
  return count('select count(*) from graphile_worker._private_jobs')
}
