// Records what the npm package opossum does under random schedules; see README.md beside this file.
// Time is our own: the timers and Date.now of this process are replaced before opossum is loaded, so the
// same seed gives the same bytes. Nothing of watchtower is here.
import { createRequire } from 'node:module'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(path.join(process.cwd(), 'package.json'))
const HERE = path.dirname(fileURLToPath(import.meta.url))
const realTurn = globalThis.setImmediate
const TRACES_PER_SET = 8
const STEPS = 50

// ---- a clock that moves when told, its timers in order of time, then of age

let now = 0
let lastId = 0
const timers = new Map()
const plan = (every, call, ms) => {
  const id = ++lastId
  timers.set(id, { at: now + ms, call, every: every ? ms : 0 })
  return id
}
globalThis.setTimeout = (call, ms) => plan(false, call, ms)
globalThis.setInterval = (call, ms) => plan(true, call, ms)
globalThis.clearTimeout = globalThis.clearInterval = id => timers.delete(id)
Date.now = () => now
const CircuitBreaker = require('opossum')
const { version } = require('opossum/package.json')

const settle = () => new Promise(resolve => realTurn(resolve)) // every promise that can go on has gone on

async function wait (ms) {
  const until = now + ms
  for (;;) {
    let next = null
    for (const [id, timer] of timers) {
      if (timer.at <= until && (next === null || timer.at < next[1].at)) next = [id, timer]
    }
    if (next === null) break
    const [id, timer] = next
    now = timer.at
    if (timer.every) timer.at += timer.every
    else timers.delete(id)
    timer.call()
    await settle()
  }
  now = until
}

// ---- chance that can be repeated (mulberry32)

function chance (seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6D2B79F5) >>> 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

// ---- one trace: [what was done, its number, position, counters in the window, events in order]

const COUNTERS = ['fires', 'successes', 'failures', 'timeouts', 'rejects', 'fallbacks']
const EVENTS = ['fire', 'success', 'failure', 'timeout', 'reject', 'fallback', 'open', 'halfOpen', 'close']

class Recording {
  constructor (options) {
    now = 0
    lastId = 0
    timers.clear()
    this.pending = new Map()
    this.heard = []
    this.steps = []
    this.started = 0
    const action = number => new Promise((resolve, reject) => this.pending.set(number, { resolve, reject }))
    // A failure marked as filtered is no failure of the path: opossum counts it as a success.
    const errorFilter = error => error.filtered === true
    this.breaker = new CircuitBreaker(action, { ...options, errorFilter })
    this.breaker.fallback(() => 'elsewhere')
    // First in line, so that events are heard in the order in which they happen.
    for (const name of EVENTS) this.breaker.prependListener(name, () => this.heard.push(name))
  }

  get position () {
    return this.breaker.closed ? 'closed' : this.breaker.opened ? 'open' : 'half-open'
  }

  get passes () {
    return this.breaker.closed || this.breaker.pendingClose
  }

  async step (what, number) {
    if (what === 'wait') await wait(number)
    else if (what === 'begin') this.breaker.fire(number).catch(() => {})
    else {
      const { resolve, reject } = this.pending.get(number)
      this.pending.delete(number)
      if (what === 'succeed') resolve('done')
      else reject(Object.assign(new Error(what), { filtered: what === 'refuse' }))
    }
    await settle()
    const stats = this.breaker.stats
    this.steps.push([what, number, this.position, COUNTERS.map(name => stats[name]), this.heard])
    this.heard = []
  }

  async random (random, { waits, failing, impatient, parallel }) {
    const open = [...this.pending.keys()]
    const roll = random()
    if (open.length > 0 && (open.length >= parallel || roll < 0.4)) {
      const number = open[Math.floor(random() * open.length)]
      const end = random()
      return this.step(end < failing ? 'fail' : end < failing + 0.05 ? 'refuse' : 'succeed', number)
    }
    // A patient caller asks first and calls only when it may; an impatient one is rejected now and then.
    if (roll < 0.75 && (impatient || this.passes)) return this.step('begin', ++this.started)
    return this.step('wait', waits[Math.floor(random() * waits.length)])
  }
}

const base = { timeout: 10000, resetTimeout: 30000, errorThresholdPercentage: 50, rollingCountTimeout: 10000, rollingCountBuckets: 10, volumeThreshold: 5 }
const few = [10, 250, 1000, 3000]
const long = [500, 2000, 10000, 15000, 31000]
const SETS = [
  ['defaults', base, { waits: long, failing: 0.6, impatient: false, parallel: 3 }],
  ['minute', { ...base, rollingCountTimeout: 60000 }, { waits: long, failing: 0.6, impatient: false, parallel: 2 }],
  ['quick', { ...base, timeout: 500, resetTimeout: 2000, rollingCountTimeout: 4000, rollingCountBuckets: 4 }, { waits: few, failing: 0.6, impatient: false, parallel: 4 }],
  ['strict', { ...base, timeout: 1000, resetTimeout: 1000, errorThresholdPercentage: 10, volumeThreshold: 10 }, { waits: few, failing: 0.2, impatient: false, parallel: 5 }],
  ['lenient', { ...base, timeout: 1000, resetTimeout: 3000, errorThresholdPercentage: 90, volumeThreshold: 5 }, { waits: few, failing: 0.9, impatient: false, parallel: 5 }],
  ['at once', { ...base, timeout: 1000, resetTimeout: 3000, volumeThreshold: 1 }, { waits: few, failing: 0.4, impatient: false, parallel: 2 }],
  // Calls that outlive the wait for a trial: they end while the breaker is open or half-open.
  ['slow calls', { ...base, timeout: 8000, resetTimeout: 1000, rollingCountTimeout: 6000, rollingCountBuckets: 3 }, { waits: few, failing: 0.6, impatient: false, parallel: 8 }],
  // Everything falls on the same moments: buckets, timeouts and trials.
  ['ties', { ...base, timeout: 1000, resetTimeout: 2000, rollingCountTimeout: 4000, rollingCountBuckets: 4 }, { waits: [1000, 2000], failing: 0.6, impatient: false, parallel: 4 }],
  ['one bucket', { ...base, timeout: 1000, resetTimeout: 2000, rollingCountTimeout: 5000, rollingCountBuckets: 1 }, { waits: few, failing: 0.6, impatient: false, parallel: 4 }],
  ['impatient', { ...base, timeout: 1000, resetTimeout: 2000 }, { waits: few, failing: 0.6, impatient: true, parallel: 4 }],
  ['impatient at once', { ...base, timeout: 500, resetTimeout: 250, volumeThreshold: 2 }, { waits: few, failing: 0.5, impatient: true, parallel: 3 }]
]

async function recordSet ([name, options, habit], setNumber) {
  const traces = []
  for (let i = 0; i < TRACES_PER_SET; i++) {
    const random = chance(setNumber * 1000 + i)
    const recording = new Recording(options)
    for (let n = 0; n < STEPS; n++) await recording.random(random, habit)
    traces.push(recording.steps)
  }
  return { name, options, traces }
}

async function recordScript (name, options, script) {
  const recording = new Recording(options)
  for (const [what, number] of script) await recording.step(what, number)
  return { name, options, traces: [recording.steps] }
}

// What we do not copy, each shown once by the real thing.
const flood = [...Array(5).keys()].flatMap(i => [['begin', i + 1], ['fail', i + 1]])
const rejected = [...Array(20).keys()].map(i => ['begin', i + 6])
const again = [...Array(6).keys()].flatMap(i => [['begin', i + 31], ['fail', i + 31]])
const quirks = [
  await recordScript('first failure opens', { ...base, volumeThreshold: 0 }, [['begin', 1], ['fail', 1]]),
  await recordScript('a full semaphore is a failure', { ...base, capacity: 1 }, [1, 2, 3, 4, 5, 6].map(i => ['begin', i])),
  await recordScript('rejected calls dilute the rate', { ...base, resetTimeout: 1000 },
    [...flood, ...rejected, ['wait', 1000], ['begin', 30], ['succeed', 30], ...again])
]

const sets = []
for (let i = 0; i < SETS.length; i++) sets.push(await recordSet(SETS[i], i + 1))
const line = value => JSON.stringify(value)
const shown = ({ name, options, traces }) =>
  `{"name": ${line(name)}, "options": ${line(options)}, "traces": [\n${traces.map(line).join(',\n')}\n]}`
const text = `{"package": "opossum ${version}",\n"sets": [\n${sets.map(shown).join(',\n')}\n],\n"quirks": [\n${quirks.map(shown).join(',\n')}\n]}\n`
writeFileSync(path.join(HERE, 'traces.json'), text)
