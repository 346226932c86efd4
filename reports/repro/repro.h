#pragma once
#include "reports/report.h"

/// One function for each family of targets; the table is in reports/repro.cpp.
namespace attnfuzz {

Repro builtin_repro(const Case& c, const TargetInfo& target);  ///< calls `attnfuzz replay`

}  // namespace attnfuzz
