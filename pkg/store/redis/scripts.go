package redis

import (
	"sync"

	redigo "github.com/gomodule/redigo/redis"
)

// script is a script that Redis runs. It is created at its first use, because most
// programs with this package never use it.
type script struct {
	keys int
	text string

	once  sync.Once
	redis *redigo.Script
}

func (s *script) get() *redigo.Script {
	s.once.Do(func() { s.redis = redigo.NewScript(s.keys, s.text) })
	return s.redis
}

// commitScript writes a batch, or a part of one.
//
//	KEYS  fence, lock, jobs, payloads, extras, last
//	ARGV  our fence, or '' without the lock
//	      the prefix of gearmand's keys
//	      'grows' if the batch needs room
//	      operations, see below
//
// It writes nothing if another holder has the store, and nothing if there is no
// room. Redis checks for room when a script first writes, so a script that only
// deletes always runs.
var commitScript = script{keys: 6, text: `
local fence, lock, jobs, payloads, extras, last = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local mine, prefix = ARGV[1], ARGV[2]
local call = redis.call

if mine == '' then
	local holder = call('GET', lock)
	if holder then return redis.error_reply('GMHELD ' .. holder) end
else
	local now = call('GET', fence)
	if now and now > mine then return redis.error_reply('GMPASSED ' .. now) end
	if now ~= mine then call('SET', fence, mine) end
end
if ARGV[3] == 'grows' then call('SETRANGE', fence, 0, '') end -- fails without room

-- writeHash writes one of gearmand's hashes, and replaces any other value.
local function writeHash(key, payload, priority)
	local added = redis.pcall('HSET', key, 'data', payload, 'priority', priority)
	if added ~= 2 then
		call('DEL', key)
		call('HSET', key, 'data', payload, 'priority', priority)
	end
end

-- find returns the one of two names that the job has, and its row.
local function find(seq, name, hidden)
	if name ~= '' then
		local row = call('HGET', jobs, name)
		if row and string.sub(row, 1, 8) == seq then return name, row end
	end
	return hidden, call('HGET', jobs, hidden)
end

local i = 4
local ops = {
	add = function() -- name, row, priority, payload
		writeHash(prefix .. ARGV[i], ARGV[i+3], ARGV[i+2])
		call('HSET', jobs, ARGV[i], ARGV[i+1])
		return 4
	end,
	hide = function() -- hidden name, row, payload
		call('HSET', payloads, ARGV[i], ARGV[i+2])
		call('HSET', jobs, ARGV[i], ARGV[i+1])
		return 3
	end,
	done = function() -- seq, name or '', hidden name
		local name, row = find(ARGV[i], ARGV[i+1], ARGV[i+2])
		if row then
			call('HDEL', jobs, name)
			if name == ARGV[i+2] then call('HDEL', payloads, name) else call('DEL', prefix .. name) end
		end
		return 3
	end,
	update = function() -- seq, name or '', hidden name, the new part of the row
		local name, row = find(ARGV[i], ARGV[i+1], ARGV[i+2])
		if row then call('HSET', jobs, name, string.sub(row, 1, 8) .. ARGV[i+3] .. string.sub(row, 21)) end
		return 4
	end,
	put = function() call('HSET', extras, ARGV[i], ARGV[i+1]) return 2 end, -- key, value
	delete = function() call('HDEL', extras, ARGV[i]) return 1 end, -- key
	drop = function() call('DEL', ARGV[i]) return 1 end, -- key of gearmand's
	last = function() -- the highest number of an add, formatted
		local now = call('GET', last)
		if not now or now < ARGV[i] then call('SET', last, ARGV[i]) end
		return 1
	end,
	forget = function() call('HDEL', jobs, ARGV[i]) return 1 end, -- name without a job
}
while i <= #ARGV do
	local op = ops[ARGV[i]]
	i = i + 1
	i = i + op()
end
return 'OK'
`}

// rowsScript reads jobs by name. For each it returns the row, gearmand's value of
// the priority, and the payload or, for heads, the payload's size. A missing value
// is nil.
//
//	KEYS  jobs, payloads
//	ARGV  the prefix of gearmand's keys
//	      'heads' or 'all'
//	      names
var rowsScript = script{keys: 2, text: `
local jobs, payloads, prefix, heads = KEYS[1], KEYS[2], ARGV[1], ARGV[2] == 'heads'
local out = {}
for i = 3, #ARGV do
	local name = ARGV[i]
	local row, priority, payload = redis.call('HGET', jobs, name), false, false
	if string.find(name, '-', 1, true) then
		local key = prefix .. name
		local found = redis.pcall('HGET', key, 'priority')
		if type(found) == 'string' then
			priority = found
			if heads then payload = redis.call('HSTRLEN', key, 'data') else payload = redis.call('HGET', key, 'data') end
		end
	elseif not heads then
		payload = redis.call('HGET', payloads, name)
	elseif redis.call('HEXISTS', payloads, name) == 1 then
		payload = redis.call('HSTRLEN', payloads, name)
	end
	out[#out+1] = row
	out[#out+1] = priority
	out[#out+1] = payload
end
return out
`}

// sizesScript returns the sizes in bytes of extras, or of keys as gearmand has
// written them.
//
//	KEYS  extras, or ''
//	ARGV  keys of extras, or gearmand's
var sizesScript = script{keys: 1, text: `
local out = {}
for i, key in ipairs(ARGV) do
	if KEYS[1] ~= '' then
		out[i] = redis.call('HSTRLEN', KEYS[1], key)
	else
		local kind = redis.call('TYPE', key).ok
		out[i] = 0
		if kind == 'hash' then
			out[i] = redis.call('HSTRLEN', key, 'data')
		elseif kind == 'string' then
			out[i] = redis.call('STRLEN', key)
		end
	end
end
return out
`}

// payloadScript reads one payload.
//
//	KEYS  jobs, payloads
//	ARGV  the prefix of gearmand's keys, seq, name or '', hidden name
var payloadScript = script{keys: 2, text: `
local name = ARGV[3]
if name ~= '' then
	local row = redis.call('HGET', KEYS[1], name)
	if row and string.sub(row, 1, 8) == ARGV[2] then
		return redis.call('HGET', ARGV[1] .. name, 'data')
	end
end
return redis.call('HGET', KEYS[2], ARGV[4])
`}

// foreignScript reads keys that gearmand has written. For each it returns its type,
// and its fields and values. gearmand before 1.1.16 wrote the payload alone.
var foreignScript = script{keys: -1, text: `
local out = {}
for i, key in ipairs(KEYS) do
	local kind, value = redis.call('TYPE', key).ok, {}
	if kind == 'hash' then
		value = redis.call('HGETALL', key)
	elseif kind == 'string' then
		value = {'data', redis.call('GET', key)}
	end
	out[i] = {kind, value}
end
return out
`}

// takeScript takes a lock that is free, or whose holder has ended.
//
//	KEYS  lock, fence
//	ARGV  the new holder, the holder that has ended or '', our fence, ms
//
// It returns the holder of a lock that is not free, and the error GMFENCE if our
// fence is not above the last one.
var takeScript = script{keys: 2, text: `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then return holder end
local last = redis.call('GET', KEYS[2])
if last and last >= ARGV[3] then return redis.error_reply('GMFENCE ' .. last) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
redis.call('SET', KEYS[2], ARGV[3])
return false
`}

// renewScript renews the lock. It takes a lock that has expired again, unless
// another holder has taken it since.
//
//	KEYS  lock, fence
//	ARGV  the holder, our token, our fence, ms
//
// Otherwise it returns the holder.
var renewScript = script{keys: 2, text: `
local holder = redis.call('GET', KEYS[1])
if holder and not string.find(holder, ARGV[2], 1, true) then return holder end
local last = redis.call('GET', KEYS[2])
if last and last > ARGV[3] and not string.find(last, ARGV[2], 1, true) then return 'another since' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
return false
`}

// fenceScript gives a holder a new fence. Commands that it sent earlier, on a lost
// connection, have no effect any more.
//
//	KEYS  fence
//	ARGV  our fence, our token, the new one
//
// It returns the fence of another holder if there was one since.
var fenceScript = script{keys: 1, text: `
local last = redis.call('GET', KEYS[1])
if last and last > ARGV[1] and not string.find(last, ARGV[2], 1, true) then return last end
redis.call('SET', KEYS[1], ARGV[3])
return false
`}

// freeScript frees the lock if it is ours.
//
//	KEYS  lock
//	ARGV  our token
var freeScript = script{keys: 1, text: `
local holder = redis.call('GET', KEYS[1])
if holder and string.find(holder, ARGV[1], 1, true) then redis.call('DEL', KEYS[1]) end
`}
