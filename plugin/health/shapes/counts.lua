-- A DPUSet: how many of its DPUs are in which phase.
--
-- Without DPUs it is healthy: the guides add worker nodes after all else, and nothing below would ever be applied. Nothing but a
-- person brings a DPU out of Error.
local status = obj.status or {}
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the controller has not seen this change yet" }
end
local failure = nil
for _, condition in ipairs(status.conditions or {}) do
  -- Ready repeats what another one says better.
  if condition.status == "False" and condition.reason == "Failure" and (failure == nil or failure.type == "Ready") then
    failure = condition
  end
end
if failure ~= nil then
  return { status = "Degraded", message = failure.type .. ": " .. (failure.message or failure.reason) }
end
local total, ready, failed = 0, 0, 0
for phase, count in pairs(status.dpuStatistics or {}) do
  total = total + count
  if phase == "Ready" then
    ready = ready + count
  elseif phase == "Error" then
    failed = failed + count
  end
end
if failed > 0 then
  return { status = "Degraded", message = failed .. " of " .. total .. " DPUs in Error" }
end
if ready < total then
  return { status = "Progressing", message = ready .. " of " .. total .. " DPUs ready" }
end
if total == 0 then
  return { status = "Healthy", message = "no DPUs yet" }
end
return { status = "Healthy", message = total .. " DPUs ready" }
