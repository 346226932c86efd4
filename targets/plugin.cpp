#include "targets/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <set>
#include <span>

#include "targets/plugin_call.h"

namespace attnfuzz {
namespace {

using Entries = std::span<const attnfuzz_target>;

/// "./libmine.so:tiled" → the file and the target's name, which may be missing.
struct PluginName {
  std::string path, target;

  explicit PluginName(const std::string& name) : path(name) {
    const size_t end = name.find(".so:");
    if (end == std::string::npos) return;
    path = name.substr(0, end + 3);
    target = name.substr(end + 4);
  }
};

bool is_set(const char* text) {
  return text != nullptr && *text != '\0';
}

void check_entry(const attnfuzz_target& entry, size_t index, const std::string& path) {
  const std::string place = fmt::format("target {}", index);
  if (!is_set(entry.name)) throw InputError(path, place, "expected a name");
  const std::string_view name = entry.name;
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char x) {
    return std::isalnum(x) != 0 || x == '-' || x == '_' || x == '.';
  });
  if (!plain) throw InputError(path, place, "expected a name of letters, digits, '-', '_' and '.'");
  if (!is_set(entry.version)) throw InputError(path, entry.name, "expected a version");
  if (entry.about == nullptr) throw InputError(path, entry.name, "expected a line about it");
  if (!is_set(entry.capabilities))
    throw InputError(path, entry.name, "expected capabilities, as JSON");
}

/// Loads the library, which stays loaded (its code may have started threads), and checks its list.
Entries load(const std::string& path) {
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::string_view why = dlerror();
    if (why.starts_with(file + ": ")) why.remove_prefix(file.size() + 2);
    throw InputError(path, "", fmt::format("expected a shared library: {}", why));
  }
  const auto entry =
      reinterpret_cast<const attnfuzz_target_list* (*)()>(dlsym(library, "attnfuzz_plugin"));
  if (entry == nullptr)
    throw InputError(path, "", "expected a plug-in that exports attnfuzz_plugin, with C linkage");
  const attnfuzz_target_list* list = entry();
  if (list == nullptr) throw InputError(path, "attnfuzz_plugin()", "expected a list, got NULL");
  if (list->abi_version != ATTNFUZZ_ABI_VERSION)
    throw InputError(path, "abi_version",
                     fmt::format("expected {}, found {}: compile it again", ATTNFUZZ_ABI_VERSION,
                                 list->abi_version));
  if (list->count < 1 || list->targets == nullptr)
    throw InputError(path, "attnfuzz_plugin()", "expected at least one target");
  const Entries entries(list->targets, static_cast<size_t>(list->count));
  std::set<std::string_view> names;
  for (size_t k = 0; k < entries.size(); ++k) {
    check_entry(entries[k], k, path);
    if (!names.insert(entries[k].name).second)
      throw InputError(
          path, fmt::format("target {}", k),
          fmt::format("expected names that differ, found '{}' again", entries[k].name));
  }
  return entries;
}

/// The functions that its capabilities promise must be there.
void check_functions(const attnfuzz_target& entry, const TargetInfo& info) {
  const Capabilities& can = info.capabilities;
  const bool claims_cache = std::any_of(can.features.begin(), can.features.end(),
                                        [](auto& word) { return word.starts_with("cache:"); });
  const auto steps = can.sizes.find("steps");
  const bool always_cached = steps != can.sizes.end() && steps->second.min > 0;
  if (claims_cache && (!entry.cache_open || !entry.cache_step || !entry.cache_close))
    throw InputError(info.name, "", "expected cache_open, cache_step and cache_close for cache:…");
  if (!always_cached && !entry.attention)
    throw InputError(info.name, "",
                     "expected attention, or in capabilities \"sizes\": {\"steps\": [1, …]}");
}

std::string names_of_all(Entries entries, const std::string& path) {
  std::string names;
  for (const attnfuzz_target& entry : entries)
    names += fmt::format("{}{}:{}", names.empty() ? "" : ", ", path, entry.name);
  return names;
}

/// What a plug-in's status and text, and the state of its tensors, come to.
Outcome judged(attnfuzz_status status, const PluginCall& call) {
  if (std::string damage = call.damage(); !damage.empty()) return {Status::error, damage, {}};
  switch (status) {
    case ATTNFUZZ_OK:
      return {Status::ok, call.text(), {}};
    case ATTNFUZZ_DECLINED:
      return {Status::declined, call.text(), {}};
    case ATTNFUZZ_ERROR:
    case ATTNFUZZ_FATAL:
      return {Status::error,
              call.text().empty() ? "error without a text" : call.text(),
              {},
              status == ATTNFUZZ_FATAL};
  }
  return {Status::error, fmt::format("unknown status {}", static_cast<int>(status)), {}};
}

/// Calls into the plug-in; an exception that leaves it is its error.
template <class F>
Outcome guarded(const PluginCall& call, const F& function) {
  try {
    return judged(function(), call);
  } catch (const std::exception& e) {
    return {Status::error, fmt::format("uncaught exception: {}", e.what()), {}};
  } catch (...) {
    return {Status::error, "uncaught exception", {}};
  }
}

class Plugin : public Target {
 public:
  Plugin(const std::string& name, const attnfuzz_target& entry)
      : entry_(entry), info_{name, entry.version, entry.about, {}, false} {
    info_.capabilities = parse_capabilities(entry.capabilities, name);
    check_functions(entry, info_);
  }
  const TargetInfo& info() const override { return info_; }

  Outcome run(const Case& c, const Inputs& inputs) override {
    return c.cached() ? run_steps(c, inputs) : run_once(c, inputs);
  }

 private:
  Outcome run_once(const Case& c, const Inputs& inputs) const {
    PluginCall call(c);
    call.set_inputs(inputs);
    Outcome outcome = guarded(call, [&] { return entry_.attention(call.get()); });
    if (outcome.status == Status::ok) outcome.steps.push_back(call.output());
    return outcome;
  }

  Outcome run_steps(const Case& c, const Inputs& inputs) const {
    PluginCall call(c);
    void* cache = nullptr;
    Outcome outcome = guarded(call, [&] { return entry_.cache_open(call.get(), &cache); });
    if (outcome.status != Status::ok) return outcome;
    for (size_t k = 0; k < c.steps.size() && outcome.status == Status::ok; ++k) {
      call.set_step(k, inputs);
      std::vector<int64_t> lengths;
      Outcome step = guarded(call, [&] {
        const attnfuzz_status status = entry_.cache_step(cache, call.get());
        for (int64_t b = 0; entry_.cache_length && b < c.problem.batch; ++b)
          lengths.push_back(entry_.cache_length(cache, b));
        return status;
      });
      outcome.status = step.status;
      outcome.final = step.final;
      if (outcome.status != Status::ok || outcome.text.empty()) outcome.text = std::move(step.text);
      if (outcome.status != Status::ok) break;
      outcome.steps.push_back(call.output());
      outcome.steps.back().lengths = std::move(lengths);
    }
    entry_.cache_close(cache);
    return outcome;
  }

  const attnfuzz_target& entry_;
  TargetInfo info_;
};

}  // namespace

bool is_plugin_name(std::string_view name) {
  return name.find('/') != std::string_view::npos || name.ends_with(".so") ||
         name.find(".so:") != std::string_view::npos;
}

std::vector<std::string> plugin_targets(const std::string& path) {
  std::vector<std::string> names;
  for (const attnfuzz_target& entry : load(path))
    names.push_back(fmt::format("{}:{}", path, entry.name));
  return names;
}

std::unique_ptr<Target> open_plugin_entry(const std::string& name, const attnfuzz_target& entry) {
  return std::make_unique<Plugin>(name, entry);
}

std::unique_ptr<Target> open_plugin(const std::string& name, const std::string& shown) {
  const PluginName wanted(name);
  const Entries entries = load(wanted.path);
  for (const attnfuzz_target& entry : entries)
    if (wanted.target == entry.name || (wanted.target.empty() && entries.size() == 1))
      return open_plugin_entry(shown.empty() ? name : shown, entry);
  throw InputError(name, "", "expected one of " + names_of_all(entries, wanted.path));
}

}  // namespace attnfuzz
