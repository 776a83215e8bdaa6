// Client of the npm package "gearman": client.js HOST PORT SCENARIO [ARGS].
//
// Facts about gearman 2.1.0 that a server has to live with:
//   - a job without a unique gets a random one, in the foreground too;
//   - JOB_CREATED is all that ties a submission to its handle, so that they
//     must come in the order of the submissions;
//   - the denominator of STATUS_RES is read as one byte, its first digit;
//   - warnings and exceptions are decoded as UTF-8.
'use strict'

const fs = require('fs')
const gearman = require('gearman')

const [host, port, scenario, ...args] = process.argv.slice(2)

function escape(payload) {
  return Buffer.from(payload).toString('latin1').replace(/[^\x20-\x5b\x5d-\x7e]/g,
    (c) => '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0'))
}

function payload(arg) {
  return arg.startsWith('@') ? fs.readFileSync(arg.slice(1)) : Buffer.from(arg)
}

function line(...fields) {
  process.stdout.write(fields.join('\t') + '\n')
}

const client = gearman(host, Number(port))

const waiting = []        // submissions without a handle yet, oldest first
const tasks = new Map()   // handle -> tasks, oldest first

// Submits a job; events gets each event of the job as (name, ...values).
function submit(func, data, options, events) {
  waiting.push(events)
  client.submitJob(func, data, options)
}

client.on('JOB_CREATED', (handle) => {
  const events = waiting.shift()
  if (!tasks.has(handle)) tasks.set(handle, [])
  tasks.get(handle).push(events)
  events('created', handle)
})

function progress(handle, ...event) {
  tasks.get(handle)[0](...event)
}

// The server answers each submission of a coalesced job.
function end(handle, ...event) {
  tasks.get(handle).shift()(...event)
}

client.on('WORK_DATA', (e) => progress(e.handle, 'data', escape(e.payload)))
client.on('WORK_WARNING', (e) => progress(e.handle, 'warning', escape(e.warning)))
client.on('WORK_STATUS', (e) => progress(e.handle, 'status', e.percent_num, e.percent_den))
client.on('WORK_EXCEPTION', (e) => end(e.handle, 'exception', escape(e.exception)))
client.on('WORK_COMPLETE', (e) => end(e.handle, 'result', escape(e.payload)))
client.on('WORK_FAIL', (e) => end(e.handle, 'FAIL'))
client.on('ERROR', (code, text) => {
  console.error(`server: ${code}: ${text}`)
  process.exit(1)
})
client.on('error', (err) => {
  console.error(`connection: ${err.message}`)
  process.exit(1)
})

const ended = (name) => ['result', 'FAIL', 'exception'].includes(name)

// Submits [func, payload, options] each; events come with the job's index.
function runAll(jobs, print) {
  let left = jobs.length
  jobs.forEach(([func, data, options], i) => {
    submit(func, data, options, (name, ...values) => {
      print(i, name, ...values)
      if (ended(name) && --left === 0) client.close()
    })
  })
}

function foreground(priority, func, arg) {
  runAll([[func, payload(arg), { priority }]], (i, name, ...values) => {
    if (name !== 'created') line(name, ...values)
  })
}

function background(priority, func, arg) {
  submit(func, payload(arg), { priority, background: true }, (name, handle) => {
    line('handle', handle)
    client.close()
  })
}

const scenarios = {
  fg: (...a) => foreground('normal', ...a),
  high: (...a) => foreground('high', ...a),
  low: (...a) => foreground('low', ...a),
  bg: (...a) => background('normal', ...a),
  'high-bg': (...a) => background('high', ...a),
  'low-bg': (...a) => background('low', ...a),
  exception(...a) {
    client.on('OPTION_RES', () => foreground('normal', ...a))
    client.setOption('exceptions')
  },
  unique(func, key, ...payloads) {
    runAll(payloads.map((p) => [func, p, { unique_id: key }]), (i, name, ...values) => {
      if (name === 'created') line(name, ...values)
      else line(i + 1, name, ...values)
    })
  },
  status(func, arg) {
    let last
    submit(func, arg, { background: true }, (name, handle) => {
      client.on('STATUS_RES', (s) => {
        const now = [s.known, s.running, s.percent_done_num, String.fromCharCode(s.percent_done_den)].join('\t')
        if (now !== last) line('status', now)
        last = now
        if (s.known === '0') client.close()
        else setTimeout(() => client.getJobStatus(handle), 10)
      })
      client.getJobStatus(handle)
    })
  },
  parallel(func, count) {
    const jobs = Array.from({ length: Number(count) }, (_, i) => [func, `job-${i + 1}`, {}])
    let right = 0
    runAll(jobs, (i, name, value) => {
      if (name === 'result' && value === [...jobs[i][1]].reverse().join('')) right++
    })
    client.on('close', () => line('ok', right))
  },
  tasks(...specs) {
    const jobs = specs.map((spec) => {
      const [func, arg] = spec.split(/=(.*)/s)
      return [func, arg, {}]
    })
    runAll(jobs, (i, name, ...values) => {
      if (name !== 'created') line(jobs[i][0], name, ...values)
    })
  },
}

if (!scenarios[scenario]) {
  line('unsupported')
  process.exit(3)
}
client.connect(() => scenarios[scenario](...args))
