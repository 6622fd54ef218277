// From a job's acknowledged insertion to the first line of its handler, for one peer: prints the milliseconds as a JSON list.
//   node pick_up.mjs PEER DATABASE_URL SAMPLES
import { open } from './peers.mjs'

const [, , peer, url, count] = process.argv
const warmUp = 20
let began
const heard = () => new Promise((resolve) => (began = resolve))
let next = heard()
const queue = await open(peer, url, 10, 50, async () => began(performance.now()))

const figures = []
for (let sample = 0; sample < Number(count) + warmUp; sample++) {
  await new Promise((resolve) => setTimeout(resolve, 5 + (sample % 7)))
  await queue.insert()
  const acknowledged = performance.now()
  figures.push(Math.max(0, (await next) - acknowledged))
  next = heard()
}
await queue.close()
console.log(JSON.stringify(figures.slice(warmUp)))
process.exit(0)
