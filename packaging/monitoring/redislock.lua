#!lua flags=no-writes,allow-stale
-- For redis_exporter's --script: each line of INFO redislock, as name and value. (Of
-- modules that it does not know redis_exporter leaves the fields of INFO out.)
local found = {}
for name, value in string.gmatch(redis.call('INFO', 'redislock'), '(redislock_[%w_]+):(%d+)') do
  found[#found + 1] = name
  found[#found + 1] = value
end
return found
