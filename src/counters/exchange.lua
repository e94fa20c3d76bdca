-- core/serving/shared-capacity.ts, word for word, where Redis keeps the state. counters.case.ts holds the two together.
-- KEYS: state of one served model; the gateways that are alive. ARGV: report as JSON; now in ms, empty: Redis's own clock.
local LEASE_MS_MAX, TURN_MS, WEIGHT_MIN, KEEP_MS = 3000, 200, 0.01, 120000
local report = cjson.decode(ARGV[1])
local now = tonumber(ARGV[2])
if now == nil then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
local text = redis.call('GET', KEYS[1])
local state = text and cjson.decode(text) or { levelUs = 0, atMs = now, members = {} }
local members = state.members
local at = math.max(state.atMs, now)
local count = 0
for id, member in pairs(members) do
  if at - member.atMs > LEASE_MS_MAX then members[id] = nil else count = count + 1 end
end
local isFirst = count == 0 and state.levelUs == 0
local start = isFirst and report.levelUs or 0
state.levelUs = math.max(start, state.levelUs - math.floor((at - state.atMs) * report.units * 1000))
state.atMs = at

local others = {}
for id, member in pairs(members) do
  if id ~= report.gatewayId then others[#others + 1] = member end
end
local before = members[report.gatewayId]
local spent = before and (report.spentUs - before.spentUs) or (isFirst and 0 or report.unreportedUs)
state.levelUs = math.max(0, state.levelUs + spent)

local weights, weight = {}, 0
for key, here in pairs(report.keys) do
  local all = here
  for _, other in ipairs(others) do all = all + (other.keys[key] or 0) end
  weights[key] = all > 0 and math.floor(here / all * 1000 + 0.5) / 1000 or 0
  weight = weight + weights[key] * (report.keyWeights[key] or 1)
end
-- Rounded: it is added up in no fixed order.
weight = math.max(WEIGHT_MIN, math.floor(weight * 1000 + 0.5) / 1000)

local least, served = nil, 0
for _, other in ipairs(others) do
  if other.wantUs > 0 and (least == nil or other.servedUs < least) then least = other.servedUs end
end
if before and (before.wantUs > 0 or least == nil) then
  served = before.servedUs
elseif least ~= nil then
  served = math.max(before and before.servedUs or 0, least)
end

local own = {
  atMs = at,
  spentUs = report.spentUs,
  wantUs = math.floor(math.min(report.wantUs, math.max(report.nextUs, TURN_MS * 1000 * report.units))),
  servedUs = served + math.floor(math.max(0, spent) / weight),
  keys = report.keys,
}
members[report.gatewayId] = own

local held, kept, waiting = 0, 0, 0
for _, other in ipairs(others) do
  local missing = math.max(0, other.wantUs - other.grantUs)
  held = held + other.grantUs
  waiting = waiting + missing
  if other.wantUs > 0 and other.servedUs < own.servedUs then kept = kept + missing end
end
if report.nextUs > report.capacityUs and state.levelUs == 0 and held == 0 then
  own.grantUs = report.nextUs
else
  local room = math.max(0, report.capacityUs - state.levelUs - held)
  local mine = math.min(own.wantUs, math.max(0, room - kept))
  own.grantUs = mine + math.floor(math.max(0, room - mine - waiting) / (#others + 2))
end

local rank = 0
for id in pairs(members) do
  if id < report.gatewayId then rank = rank + 1 end
end
local turn = ((rank + math.floor(at / 1000)) % (#others + 1)) / (#others + 1)
local function places(name, max)
  local mine = { used = report[name].used, want = report[name].want }
  local wants, left, total = { mine.used + mine.want }, max, mine.used + mine.want
  for _, other in ipairs(others) do
    local one = other[name]
    left = left - math.max(one.used, one.granted)
    wants[#wants + 1] = one.used + one.want
    total = total + one.used + one.want
  end
  local first, water, rest = wants[1], math.huge, max
  table.sort(wants)
  for index, want in ipairs(wants) do
    local equal = rest / (#wants - index + 1)
    if want > equal then
      water = equal
      break
    end
    rest = rest - want
  end
  local fair = math.floor(math.min(first, water) + math.max(0, max - total) / #wants + turn)
  mine.granted = math.max(0, math.min(fair, math.floor(left)))
  own[name] = mine
end
places('sequences', report.sequencesMax)
places('kvTokens', report.kvTokensMax)

redis.call('SET', KEYS[1], cjson.encode(state), 'PX', KEEP_MS)
redis.call('ZADD', KEYS[2], now, report.gatewayId)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - LEASE_MS_MAX)
redis.call('PEXPIRE', KEYS[2], KEEP_MS)
return cjson.encode({
  grantUs = own.grantUs,
  levelUs = state.levelUs,
  sequences = own.sequences.granted,
  kvTokens = own.kvTokens.granted,
  weights = weights,
  gateways = redis.call('ZCARD', KEYS[2]),
})
