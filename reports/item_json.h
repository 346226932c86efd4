#pragma once
#include <string>
#include <string_view>

#include "reports/report.h"

namespace attnfuzz {

inline constexpr int item_format_version = 1;

/// All that a report needs of a finding, as one JSON object (fields: item_json.cpp). The output
/// tensors of the shrunk case are kept where they are small; those of the original case are not,
/// and bytes that are no UTF-8 become U+FFFD. All else survives the round trip.
std::string item_to_json(const Report::Item& item);

/// Throws InputError naming `where` for anything that item_to_json does not write.
Report::Item item_from_json(std::string_view json, const std::string& where);

}  // namespace attnfuzz
