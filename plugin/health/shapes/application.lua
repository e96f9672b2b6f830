-- An Application inside another one: sync waves then wait across Applications.
--
-- Healthy is only what was compared with its present source, has nothing left to sync, and reports itself healthy. A sync that
-- failed is not repeated for the same commit: Degraded ends the outer sync too, which would wait for ever. An Application that is
-- degraded but synced may recover without anybody, as one does whose CRDs are not established yet: Degraded would fail the outer
-- sync for it, so it is waited for. Unknown and Missing become Progressing: Argo CD leaves them out where it sums up the health
-- of the outer Application.
local status = obj.status or {}
local sync = status.sync or {}
local last = status.operationState or {}
local function progressing(message)
  return { status = "Progressing", message = message }
end
-- The fields that say which content is meant, as one text.
local function meant(holder)
  local parts = {}
  for _, source in ipairs(holder.sources ~= nil and #holder.sources > 0 and holder.sources or { holder.source }) do
    for _, key in ipairs({ "repoURL", "path", "chart", "targetRevision", "ref" }) do
      table.insert(parts, key .. "=" .. (source[key] or ""))
    end
    table.insert(parts, "plugin=" .. (source.plugin and source.plugin.name or ""))
  end
  return table.concat(parts, " ")
end
local function revision(of)
  if of == nil then
    return ""
  end
  return of.revisions ~= nil and table.concat(of.revisions, " ") or of.revision or ""
end
if obj.operation ~= nil or last.phase == "Running" or last.phase == "Terminating" then
  return progressing("syncing" .. (last.message and ": " .. last.message or ""))
end
if sync.status == nil then
  return progressing("not compared yet")
end
if sync.comparedTo ~= nil and obj.spec.sourceHydrator == nil and meant(sync.comparedTo) ~= meant(obj.spec) then
  return progressing("not compared with its present source yet")
end
if sync.status == "Unknown" then
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == "ComparisonError" or condition.type == "InvalidSpecError" then
      return progressing(condition.type .. ": " .. condition.message)
    end
  end
  return progressing("cannot be compared")
end
if sync.status ~= "Synced" then
  local tried = revision(last.syncResult)
  if tried == "" then
    tried = revision(last.operation and last.operation.sync)
  end
  local same = tried == "" or tried == revision(sync)
  if same and (last.phase == "Failed" or last.phase == "Error") then
    return { status = "Degraded", message = last.message or "the last sync failed" }
  end
  local automated = obj.spec.syncPolicy and obj.spec.syncPolicy.automated
  if automated == nil or automated.enabled == false then
    return { status = "Suspended", message = "waits for somebody to sync it" }
  end
  -- Drift after a finished sync is no question of health; a commit that is not synced yet is.
  if not (same and last.phase == "Succeeded") then
    return progressing("about to sync")
  end
end
local health = status.health or {}
if health.status == nil or health.status == "Missing" or health.status == "Unknown" then
  return progressing("health: " .. (health.status or "not known yet"))
end
if health.status == "Degraded" then
  return progressing("degraded" .. (health.message and ": " .. health.message or ""))
end
return { status = health.status, message = health.message or "" }
