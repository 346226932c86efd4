#pragma once
#include <memory>
#include <string>
#include <vector>

#include "targets/attnfuzz_target.h"
#include "targets/target.h"

namespace attnfuzz {

/// Opens a shared library that exports attnfuzz_plugin (see attnfuzz_target.h), in this process.
/// `name` is its path, or "path:target" where it holds several ("./libmine.so:tiled").
/// The target is called `shown`, or by that name. Throws InputError for a file that is not such a
/// plug-in.
std::unique_ptr<Target> open_plugin(const std::string& name, const std::string& shown = {});

/// One entry of a plug-in's list, under this name. The entry must stay valid.
std::unique_ptr<Target> open_plugin_entry(const std::string& name, const attnfuzz_target& entry);

/// The names under which a plug-in's targets can be opened.
std::vector<std::string> plugin_targets(const std::string& path);

/// Whether a target's name is a plug-in's: a path, or a file that ends in .so.
bool is_plugin_name(std::string_view name);

}  // namespace attnfuzz
