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
-- As before errors were tables: what `redis.call` raises is its text (Redis `script_lua.c`, `luaRedisPcall`).
local function settle_text(ok, e, ...)
  if not ok and type(e) == 'table' then
    local text = (behind[e] or e).err
    if type(text) == 'string' or type(text) == 'number' then e = text end
  end
  return ok, e, ...
end
local function settle_pcall(ok, ...)
  if ok then return ok, ... end
  return settle_text(settle(ok, ...))
end
function globals.pcall(...) return settle_pcall(pcall(...)) end
function globals.xpcall(f, h)
  return settle(xpcall(f, type(h) == 'function' and function(e) return h(unwrap(e)) end or h))
end

function globals.rawget(t, k) return rawget(behind[t] or t, k) end
function globals.rawset(t, k, v)
  if behind[t] then error(READONLY, 0) end
  return rawset(t, k, v)
end
function globals.setmetatable(t, m)
  if behind[t] then error(READONLY, 0) end
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
-- The plain one counts in ints, and what overflows there is not seen. It has room for as many values as it
-- is given arguments less.
function globals.unpack(...)
  local t, i, j = ...
  local from, to = tonumber(i or 1), tonumber(j)
  if j == nil and type(t) == 'table' then to = #t end
  if from and to and to - from >= 8000 then error('too many results to unpack', 2) end
  return unpack(...)
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
    if behind[t] then error(READONLY, 0) end
    local ok, a = pcall(f, t, ...)
    if not ok then error(a, type(a) == 'string' and 2 or 0) end
    return a
  end
end

local maths = copy(plain.math)
maths.random, maths.randomseed = host.random, host.randomseed

globals.table = front(tables)
globals.math = front(maths)
globals.string = front(copy(plain.string))
local coroutines = copy(plain.coroutine)
local resume = plain.coroutine.resume
function coroutines.resume(...) return settle(resume(...)) end
globals.coroutine = front(coroutines)
globals.os = front({ clock = host.clock })
globals.cjson = front(host.cjson)
globals.bit = front(host.bit)
globals.cmsgpack = front(host.cmsgpack)
globals.struct = front(host.struct)

-- The library `redis`. The fiber binds what asks the executor. These are functions of the host, because a
-- function of Lua that is called last (`return redis.f()`) hides the line that calls it.
local redis = copy(host.constants)
for name, f in pairs(host.redis) do redis[name] = f end
function redis.replicate_commands() return true end
function redis.breakpoint() return false end
function redis.debug() end
globals.redis = front(redis)
globals.server = globals.redis

local env, env_meta = front(globals, true)
globals._G = env

-- What a library sees while it loads: what it can register functions with, and nothing else.
local loading, load_api
if host.functions then
  load_api = {}
  for name, value in pairs(host.constants) do
    if not name:find('REPL_', 1, true) then load_api[name] = value end
  end
  local api = front(load_api, true)
  loading = setmetatable({ redis = api, server = api }, getmetatable(globals))
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
function run.bind(bound, register)
  for name, f in pairs(bound) do redis[name] = f end
  if load_api then load_api.log, load_api.register_function = bound.log, register end
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
