#pragma once
#include <memory>
#include <string_view>

#include "targets/target.h"

namespace attnfuzz {

/// cpu:tiled and cpu:paged-cache under other claims: the kernels themselves have no limits.
std::unique_ptr<Target> cpu_tiled_claiming(std::string_view capabilities);
std::unique_ptr<Target> cpu_paged_cache_claiming(std::string_view capabilities);

}  // namespace attnfuzz
