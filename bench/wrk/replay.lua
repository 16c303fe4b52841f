-- Sends the requests of the file named after "--", over and over in its order.
-- One a line: method, path, body, with a tab between. Ends with the figures as one line of JSON.
-- A number after the file is how many are sent a second at most, by all connections.

local requests, sent = {}, 0

local function pace(rate)
  local ffi = require("ffi")
  ffi.cdef("typedef struct { long seconds, microseconds; } moment; int gettimeofday(moment *, void *);")
  local now, due = ffi.new("moment"), 0
  function delay()
    ffi.C.gettimeofday(now, nil)
    local milliseconds = tonumber(now.seconds) * 1e3 + tonumber(now.microseconds) / 1e3
    due = math.max(due, milliseconds) + 1e3 / rate
    return due - milliseconds
  end
end

function init(arguments)
  if arguments[2] then pace(tonumber(arguments[2])) end
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+)\t(%S+)\t(.*)$")
    if body == "" then body = nil end
    wrk.headers["Content-Type"] = body and "application/json"
    requests[#requests + 1] = wrk.format(method, path, nil, body)
  end
end

function request()
  sent = sent % #requests + 1
  return requests[sent]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"refused":%d,"broken":%d,"timed_out":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
