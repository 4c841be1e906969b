-- What wrk sends: one request per call, each with an identifier never used before and a member
-- drawn anew; at full speed, or at a constant rate kept by a timetable. The file that LOAD_PLAN
-- names says what (see loads.py). Sending ends before wrk does, so every request is answered.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } instant;
  int clock_gettime(int clock, instant *now);
]]
local MONOTONIC = jit.os == "OSX" and 6 or 1
local instant = ffi.new("instant")

local function now()
  ffi.C.clock_gettime(MONOTONIC, instant)
  return tonumber(instant.seconds) * 1000 + tonumber(instant.nanoseconds) / 1e6
end

local plan = dofile(os.getenv("LOAD_PLAN"))
local threads = {}

-- Once per thread, before it runs: each has a server of its own.
function setup(thread)
  local target = plan.targets[#threads % #plan.targets + 1]
  thread.addr = wrk.lookup(target.host, target.port)[1]
  thread:set("index", #threads)
  table.insert(threads, thread)
end

sent, late, worst = 0, 0, 0
local slot, ends
local period = plan.rate > 0 and 1000 * plan.threads / plan.rate or 0

-- Milliseconds until the next request may go; past the end: never.
function delay()
  local t = now()
  if not slot then slot, ends = t + index * period / plan.threads, t + plan.milliseconds end
  if t >= ends then return 3600000 end
  if period == 0 then return 0 end
  local wait = slot - t
  slot = slot + period
  if wait < -1 then
    late = late + 1
    worst = math.max(worst, -wait)
  end
  return wait > 0 and wait or 0
end

local LETTERS = "ACDEFGHJKMNPQRTUVWXY"

-- A made-up MBI of the right shape; requests.py makes the same.
local function member(n)
  local function letter(k) return LETTERS:sub(k % 20 + 1, k % 20 + 1) end
  local digits = n % 10000
  local rest = math.floor(n / 10000)
  return table.concat({
    "1", letter(rest), "G", math.floor(digits / 1000), letter(math.floor(rest / 20)), "5",
    math.floor(digits / 100) % 10, letter(math.floor(rest / 400)), "K",
    math.floor(digits / 10) % 10, digits % 10,
  })
end

-- Members come in an order that repeats none before all were there (7368787 is a prime).
local function drawn()
  local n = plan.seed + index * 15485863 + sent * 7368787
  return member(n % plan.members * plan.member_step)
end

function request()
  if slot then sent = sent + 1 end -- wrk asks for one beforehand, to look at it
  local values = {
    identifier = string.format("%s-%02d-%09d", plan.run, index, sent),
    serial = string.format("%02d%010d", index, sent),
    member = drawn(),
  }
  local pieces = { plan.head }
  if plan.tokens then -- one after the other, each thread its own
    pieces[2] = "Authorization: Bearer "
    pieces[3] = plan.tokens[(sent * plan.threads + index) % #plan.tokens + 1]
    pieces[4] = "\r\n\r\n"
  end
  for n, part in ipairs(plan.parts) do
    pieces[#pieces + 1] = part
    if plan.slots[n] then pieces[#pieces + 1] = values[plan.slots[n]] end
  end
  return table.concat(pieces)
end

function done(summary, latency, _)
  local total, missed, furthest = 0, 0, 0
  for _, thread in ipairs(threads) do
    total = total + thread:get("sent")
    missed = missed + thread:get("late")
    furthest = math.max(furthest, thread:get("worst"))
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"sent":%d,"answered":%d,"bytes":%d,"late":%d,"worst_late_ms":%.1f,'
      .. '"p50_ms":%.3f,"p95_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"errors":'
      .. '{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    total, summary.requests, summary.bytes, missed, furthest,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
