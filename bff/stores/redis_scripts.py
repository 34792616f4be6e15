"""Lua scripts that Redis runs in one step. Each touches exactly one key, so that they run on a cluster.

Times are milliseconds of the server's own clock. A reply of `false` is "no". If a key holds another type or nonsense,
reading finds nothing and writing overwrites it: nobody gets signed in by it, and nothing crashes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script for one key. `sha` is the name under which the server remembers it."""

    source: str = field(repr=False)
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest())


CREATE = Script(
    NOW
    + """-- sealed, idle ms, absolute end ms, writer: 1 when the record is this writer's, whose first answer may be lost
if redis.call('EXISTS', KEYS[1]) == 1 then
  local by = redis.pcall('HGET', KEYS[1], 'by')
  if by ~= ARGV[4] then return 0 end
end
local left = math.min(ARGV[2], ARGV[3] - now)
if left < 1 then return 1 end
redis.call('HSET', KEYS[1], 'rev', 0, 'data', ARGV[1], 'abs', ARGV[3], 'by', ARGV[4])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
return 1
"""
)

LOAD = Script(
    NOW
    + """-- revision, sealed, idle end; a record without an end was not written here
local found = redis.pcall('HMGET', KEYS[1], 'rev', 'data')
if found.err or not found[1] or not found[2] then return false end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then return false end
return {found[1], found[2], string.format('%.0f', now + left)}
"""
)

REPLACE = Script(
    """-- sealed, revision expected, revision to come, writer; fields of a hash change without touching its end
local found = redis.pcall('HMGET', KEYS[1], 'rev', 'by')
if found.err then return 0 end
local again = found[1] == ARGV[3] and found[2] == ARGV[4]
if found[1] ~= ARGV[2] and not again then return 0 end
redis.call('HSET', KEYS[1], 'rev', ARGV[3], 'data', ARGV[1], 'by', ARGV[4])
return 1
"""
)

TOUCH = Script(
    NOW
    + """-- idle ms, absolute end ms: the new idle end, which only grows, up to the earliest absolute end ever named
local found = redis.pcall('HGET', KEYS[1], 'abs')
if type(found) ~= 'string' or not tonumber(found) then return false end
local absolute = math.min(tonumber(found), ARGV[2])
local ends = now + ARGV[1]
local left = redis.call('PTTL', KEYS[1])
if left >= 0 then ends = math.max(ends, now + left) end
ends = math.min(ends, absolute)
if absolute < tonumber(found) then redis.call('HSET', KEYS[1], 'abs', ARGV[2]) end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends))
return string.format('%.0f', ends)
"""
)

WAS_THERE = 1
DELETE = Script(
    """-- 1: removed, 2: there was none; then a write all the same, so that WAIT has something to wait for
if redis.call('DEL', KEYS[1]) == 1 then return 1 end
redis.call('SET', KEYS[1], '', 'PX', 1000)
redis.call('DEL', KEYS[1])
return 2
"""
)

LIST_UNDER_OWNER = Script(
    NOW
    + """-- record name, its absolute end ms; the list lives as long as the longest of its records may
local pruned = redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if type(pruned) == 'table' then redis.call('DEL', KEYS[1]) end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local left = ARGV[2] - now
if redis.call('PTTL', KEYS[1]) < left then redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left)) end
return 1
"""
)

OWNED = Script(
    NOW
    + """-- names whose absolute end is still to come
local names = redis.pcall('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
if names.err then return {} end
return names
"""
)

SET_BARRIER = Script(
    """-- ms to keep it, earliest time it may bear: the time it bears, which is never before that of an earlier barrier
local time = redis.call('TIME')
local at = math.max(time[1] + time[2] / 1000000, ARGV[2])
local before = redis.pcall('GET', KEYS[1])
if type(before) == 'string' and string.match(before, '^%d+%.%d+$') then at = math.max(at, before) end
local keep = math.max(ARGV[1], redis.call('PTTL', KEYS[1]))
local text = string.format('%.6f', at)
redis.call('SET', KEYS[1], text, 'PX', string.format('%.0f', keep))
return text
"""
)

READ_BARRIER = Script(
    """-- the time it bears, or its presence alone when it cannot be read
local text = redis.pcall('GET', KEYS[1])
if type(text) == 'table' then return 'unreadable' end
return text
"""
)

LOCK = Script(
    """-- holder, ms: 1 when it is the holder's now
local holder = redis.pcall('GET', KEYS[1])
local taken = type(holder) == 'string' and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) > 0
if taken then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)

UNLOCK = Script(
    """-- holder
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
)

HOLDER = Script(
    """-- the holder; a lock without an end was not written here
local holder = redis.pcall('GET', KEYS[1])
if type(holder) ~= 'string' or redis.call('PTTL', KEYS[1]) < 0 then return false end
return holder
"""
)

_PLACE = (
    NOW
    + """-- value name, ms, cap: 1 when the name has one of the places of its kind, 0 when all are taken
local pruned = redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if type(pruned) == 'table' then redis.call('DEL', KEYS[1]) end
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
local ends = now + ARGV[2]
if not held or renews or tonumber(held) < ends then
  redis.call('ZADD', KEYS[1], string.format('%.0f', ends), ARGV[1])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
)
RESERVE = Script("local renews = false" + _PLACE)
RENEW = Script("local renews = true" + _PLACE)

PUT_VALUE = Script(
    """-- writer and value, ms: 1 when the value is this writer's, whose first answer may be lost
local held = redis.pcall('GET', KEYS[1])
if held then
  if held == ARGV[1] then return 1 end
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)

PEEK_VALUE = Script(
    """local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' then return false end
return held
"""
)

TAKE_VALUE = Script(
    """-- the value, for one caller alone
local held = redis.pcall('GET', KEYS[1])
if type(held) ~= 'string' then return false end
redis.call('DEL', KEYS[1])
return held
"""
)

SCRIPTS = (
    CREATE,
    LOAD,
    REPLACE,
    TOUCH,
    DELETE,
    LIST_UNDER_OWNER,
    OWNED,
    SET_BARRIER,
    READ_BARRIER,
    LOCK,
    UNLOCK,
    HOLDER,
    RESERVE,
    RENEW,
    PEEK_VALUE,
    PUT_VALUE,
    TAKE_VALUE,
)
