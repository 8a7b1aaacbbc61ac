-- The part of the sandbox that is best said in Lua. It runs once per interpreter, before any
-- script, with the host's functions and the plain libraries as arguments, and hands back the
-- functions by which the host runs scripts. Nothing in here may use a global name.
--
-- Lua 5.1 has no read-only tables. What must not change is therefore kept in a table of its
-- own, and scripts see an empty table in front of it whose metatable refuses writes; every
-- library function that goes around metatables is replaced by one that knows these fronts.
local host, plain = ...
local error, type, tostring, tonumber = plain.error, plain.type, plain.tostring, plain.tonumber
local pcall, xpcall, select, unpack = plain.pcall, plain.xpcall, plain.select, plain.unpack
local getmetatable, setmetatable = plain.getmetatable, plain.setmetatable
local rawget, rawset, rawequal = plain.rawget, plain.rawset, plain.rawequal
local next, pairs, ipairs = plain.next, plain.pairs, plain.ipairs
local loadstring, getfenv, setfenv = plain.loadstring, plain.getfenv, plain.setfenv
local newproxy, collectgarbage = plain.newproxy, plain.collectgarbage
local concat, byte, floor = plain.table.concat, plain.string.byte, plain.math.floor

local READONLY = 'Attempt to modify a readonly table'
local behind = setmetatable({}, { __mode = 'k' })
local locked = {}

local function refuse() error(READONLY, 2) end

-- The front of a table. Names that are missing are nil, or an error.
local function front(t, strict)
  local f = {}
  behind[f] = t
  if strict then
    setmetatable(t, { __index = function(_, name)
      error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end })
  end
  local meta = { __index = t, __newindex = refuse, __metatable = locked }
  return setmetatable(f, meta), meta
end

behind[locked] = {}
setmetatable(locked, { __index = behind[locked], __newindex = refuse, __metatable = locked })
getmetatable('').__metatable = locked

-- What the host raises is an object of its own; scripts get the string or table it stands for.
local unwrap = host.unwrap

local here = getfenv(1)
behind[here] = {}
setmetatable(here, { __newindex = refuse, __metatable = locked })

local globals = {}
for _, name in ipairs({ 'assert', 'error', 'type', 'tostring', 'tonumber', 'select',
  'getfenv', 'ipairs', 'gcinfo', 'rawequal' }) do
  globals[name] = plain[name]
end
globals._VERSION = plain._VERSION

-- A finalizer runs wherever memory is asked for, and no hook interrupts it: scripts have none.
function globals.newproxy(of)
  if of ~= true then return newproxy(of) end
  local proxy = newproxy(true)
  local meta = getmetatable(proxy)
  meta.__metatable = setmetatable({}, {
    __index = meta,
    __newindex = function(_, k, v) if k ~= '__gc' then meta[k] = v end end,
  })
  return proxy
end

local killed = host.killed
local function settle(ok, ...)
  if killed() then error(host.kill_text, 0) end
  if not ok and type((...)) == 'userdata' then return false, unwrap((...)) end
  return ok, ...
end
function globals.pcall(...) return settle(pcall(...)) end
function globals.xpcall(f, h)
  return settle(xpcall(f, type(h) == 'function' and function(e) return h(unwrap(e)) end or h))
end

function globals.rawget(t, k) return rawget(behind[t] or t, k) end
function globals.rawset(t, k, v)
  if behind[t] then error(READONLY, 2) end
  return rawset(t, k, v)
end
function globals.setmetatable(t, m)
  if behind[t] then error(READONLY, 2) end
  return setmetatable(t, m)
end
globals.getmetatable = getmetatable
local function see_through(t, k)
  return next(behind[t] or t, k)
end
globals.next = see_through
function globals.pairs(t)
  if behind[t] then return see_through, t, nil end
  return pairs(t)
end
function globals.unpack(t, i, j)
  local from, to = tonumber(i or 1), tonumber(j)
  if from and to and to - from >= 8000 then error('too many results to unpack', 2) end
  return unpack(t, i, j)
end
local function text_chunk(source, name)
  if byte(source, 1) == 27 then return nil, 'bytecode is not loaded' end
  return loadstring(source, name)
end
function globals.loadstring(source, name)
  if type(source) == 'number' then source = tostring(source) end
  if type(source) ~= 'string' then
    error("bad argument #1 to 'loadstring' (string expected, got " .. type(source) .. ')', 2)
  end
  return text_chunk(source, name or source)
end
function globals.load(reader, name)
  if type(reader) ~= 'function' then
    error("bad argument #1 to 'load' (function expected, got " .. type(reader) .. ')', 2)
  end
  local parts, n = {}, 0
  while true do
    local part = reader()
    if part == nil or part == '' then break end
    if type(part) ~= 'string' then return nil, 'reader function must return a string' end
    n = n + 1
    parts[n] = part
  end
  return text_chunk(concat(parts), name or '=(load)')
end
function globals.setfenv(f, t)
  if f == 0 then error(READONLY, 2) end
  if type(f) == 'number' then
    local got = setfenv(f + 1, t)
    return got
  end
  return setfenv(f, t)
end
-- Scripts may not stop the collector: it is what bounds memory.
function globals.collectgarbage(what, arg)
  if what == 'count' or what == 'collect' or what == 'step' or what == nil then
    return collectgarbage(what, arg)
  end
  return 0
end

local function copy(t, without)
  local out = {}
  for k, v in pairs(t) do
    if not (without and without[k]) then out[k] = v end
  end
  return out
end

local tables = copy(plain.table)
for _, name in ipairs({ 'insert', 'remove', 'sort', 'setn' }) do
  local f = tables[name]
  tables[name] = function(t, ...)
    if behind[t] then error(READONLY, 2) end
    local ok, a = pcall(f, t, ...)
    if not ok then error(a, type(a) == 'string' and 2 or 0) end
    return a
  end
end

local maths = copy(plain.math)
maths.randomseed = host.randomseed
function maths.random(low, high)
  local r = host.random()
  if low == nil then return r end
  low = floor(low)
  if high == nil then low, high = 1, low else high = floor(high) end
  if low > high then error('bad argument to \'random\' (interval is empty)', 2) end
  return floor(r * (high - low + 1)) + low
end

globals.table = front(tables)
globals.math = front(maths)
globals.string = front(copy(plain.string, { dump = true }))
local coroutines = copy(plain.coroutine)
local resume = plain.coroutine.resume
function coroutines.resume(...) return settle(resume(...)) end
globals.coroutine = front(coroutines)
globals.os = front({ clock = host.clock })
globals.cjson = front(host.cjson)
globals.bit = front(host.bit)

-- The library `redis`. The fiber binds what asks the executor.
local ask
local redis = copy(host.constants)
local function asking(what)
  return function(...)
    local failed, value = ask(what, ...)
    if failed then error(value, 0) end
    return value
  end
end
redis.setresp = asking('setresp')
redis.log = asking('log')
redis.acl_check_cmd = asking('acl')
function redis.replicate_commands() return true end
function redis.set_repl(...)
  if select('#', ...) ~= 1 then error({ err = 'ERR redis.set_repl() requires one argument.' }, 0) end
  local flags = tonumber((...))
  if not flags or flags % 1 ~= 0 or flags < 0 or flags > 3 then
    error({ err = 'ERR Invalid replication flags. Please use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.' }, 0)
  end
end
function redis.breakpoint() return false end
function redis.debug() end
function redis.sha1hex(...)
  if select('#', ...) ~= 1 then error({ err = 'ERR wrong number of arguments' }, 0) end
  local text = ...
  return host.sha1hex(tostring(text))
end
local BAD_FIELD = 'ERR wrong number or type of arguments'
function redis.status_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return { err = BAD_FIELD } end
  return { ok = text }
end
function redis.error_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return { err = BAD_FIELD } end
  return { err = host.error_text(text) }
end
if host.functions then redis.register_function = asking('register') end
globals.redis = front(redis)
globals.server = globals.redis

local env, env_meta = front(globals, true)
globals._G = env

-- What a library sees while it loads: no call, but register_function.
local loading
if host.functions then
  loading = copy(globals)
  local api = copy(host.constants)
  api.log = redis.log
  api.register_function = asking('register')
  loading.redis = front(api, true)
  loading.server = loading.redis
  setmetatable(loading, getmetatable(globals))
end

local where = host.where
local function handler(err)
  local source, line = where()
  err = unwrap(err)
  if killed() then err = { err = host.kill_text } end
  if type(err) ~= 'table' or behind[err] then err = { err = 'ERR ' .. tostring(err) } end
  if source then
    rawset(err, 'source', source)
    rawset(err, 'line', line)
  end
  return err
end

local run = {}
run.env = env
function run.bind(call, try, other)
  redis.call, redis.pcall, ask = call, try, other
end
function run.script(f, keys, argv)
  globals.KEYS, globals.ARGV = keys, argv
  local ok, value = xpcall(f, handler)
  globals.KEYS, globals.ARGV = nil, nil
  return ok, value
end
function run.callback(f, keys, argv)
  return xpcall(function() return f(keys, argv) end, handler)
end
function run.load(f)
  env_meta.__index = loading
  local ok, value = pcall(f)
  env_meta.__index = globals
  if not ok then value = unwrap(value) end
  return ok, value
end
return run
