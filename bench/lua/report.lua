-- Sends one kind of request, described by the arguments METHOD BODY_BYTES CONNECTION KIND,
-- and reports the run as one line of JSON. Where KIND is "varied", each request has a path, a query,
-- an agent, a cookie and a header of its own; else all of them are the same.

function init(arguments)
  wrk.method = arguments[1]
  local size = tonumber(arguments[2])
  if size > 0 then
    wrk.body = string.rep("x", size)
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
  wrk.headers["Accept-Language"] = "en-GB,en;q=0.5"
  wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101"
  wrk.headers["Connection"] = arguments[3]
  if arguments[4] == "varied" then
    vary()
  end
end

-- Defines what wrk asks for each request, instead of sending the one that it formats after `init`.
function vary()
  wrk.headers["User-Agent"] = wrk.headers["User-Agent"] .. " Firefox/@@@@"
  wrk.headers["Cookie"] = "session=@@@@; theme=dark"
  wrk.headers["X-Request-Start"] = "t=@@@@"
  local template = wrk.format(nil, wrk.path .. "items/@@@@?page=@@@@&order=price")
  local parts = {}
  for part in (template .. "@@@@"):gmatch("(.-)@@@@") do
    parts[#parts + 1] = part
  end
  local number = 1000000
  function request()
    number = number + 1
    return table.concat(parts, number)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "bytes": %d, "connect": %d, "read": %d, ' ..
    '"write": %d, "status": %d, "timeout": %d, "mean": %d, "p50": %d, "p99": %d, "max": %d}\n',
    summary.requests, summary.duration, summary.bytes, errors.connect, errors.read,
    errors.write, errors.status, errors.timeout,
    latency.mean, latency:percentile(50), latency:percentile(99), latency.max))
end
