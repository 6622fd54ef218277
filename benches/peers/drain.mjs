// Jobs a second of one peer with handlers that do nothing: prints a number.
//   node drain.mjs PEER DATABASE_URL JOBS CONNECTIONS
import { open, prepare } from './peers.mjs'

const [, , peer, url, jobs, connections] = process.argv
const left = await prepare(peer, url, Number(jobs))
const since = performance.now()
let handled = 0
let all
const done = new Promise((resolve) => (all = resolve))
const queue = await open(peer, url, Number(connections), 50, async () => {
  handled += 1
  if (handled === Number(jobs)) all()
})
await done
while ((await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 5))
console.log((1000 * Number(jobs)) / (performance.now() - since))
await queue.close()
process.exit(0)
