// Worker of the npm package "gearman": worker.js HOST PORT.
//
// Prints "ready", then one line a job, until it is killed. A job costs it 40 ms
// where the server does not acknowledge at once: the result and the next grab
// are two small writes, and Nagle's algorithm keeps the second one back.
'use strict'

const fs = require('fs')
const gearman = require('gearman')

const [host, port] = process.argv.slice(2)

function escape(payload) {
  return payload.toString('latin1').replace(/[^\x20-\x5b\x5d-\x7e]/g,
    (c) => '\\x' + c.charCodeAt(0).toString(16).padStart(2, '0'))
}

const worker = gearman(host, Number(port))

// Each function ends its job itself and then calls done.
function complete(job, result, done) {
  worker.sendWorkComplete(job.handle, result)
  done()
}

const functions = {
  reverse: (job, done) => complete(job, Buffer.from(job.payload).reverse(), done),
  upper: (job, done) => complete(job, job.payload.toString().toUpperCase(), done),
  echo_unique: (job, done) => complete(job, job.unique_id, done),
  chunks(job, done) {
    job.payload.toString().split(' ').forEach((chunk) => worker.sendWorkData(job.handle, chunk))
    complete(job, 'done', done)
  },
  status(job, done) {
    // Numbers have to be strings: Buffer.from(1) throws.
    for (const n of ['1', '2', '3']) worker.sendWorkStatus(job.handle, n, '3')
    complete(job, 'done', done)
  },
  // Reports 1/3 and then waits for a writer on the FIFO that the payload names.
  gate(job, done) {
    worker.sendWorkStatus(job.handle, '1', '3')
    fs.readFile(job.payload.toString(), () => complete(job, 'done', done))
  },
  warn(job, done) {
    worker.sendWorkWarning(job.handle, job.payload)
    complete(job, 'done', done)
  },
  exception(job, done) {
    worker.sendWorkException(job.handle, job.payload)
    done()
  },
  fail(job, done) {
    worker.sendWorkFail(job.handle)
    done()
  },
}

worker.on('NOOP', () => worker.grabUniqueJob())
worker.on('NO_JOB', () => worker.preSleep())
worker.on('JOB_ASSIGN_UNIQ', (job) => {
  console.log(`job\t${job.func_name}\t${escape(job.payload)}`)
  functions[job.func_name](job, () => worker.grabUniqueJob())
})
worker.on('ERROR', (code, text) => {
  console.error(`server: ${code}: ${text}`)
  process.exit(1)
})
worker.on('error', (err) => {
  console.error(`connection: ${err.message}`)
  process.exit(1)
})
worker.on('close', () => process.exit(0))

worker.connect(() => {
  Object.keys(functions).forEach((name) => worker.addFunction(name))
  worker.preSleep()
  console.log('ready')
})
