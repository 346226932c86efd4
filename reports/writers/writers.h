#pragma once
#include <string>

#include "reports/report.h"

/// One function for each format; the table is in reports/report.cpp.
namespace attnfuzz {

std::string write_markdown(const Report& report);     ///< an index of the findings
std::string write_html(const Report& report);         ///< one self-contained page
std::string write_json(const Report& report);         ///< fields: see writers/json.cpp
std::string write_issue(const Report::Item& item);    ///< the body of an issue
std::string write_junit(const Report& report);        ///< a test case for each target and finding
std::string write_job_summary(const Report& report);  ///< Markdown that stands alone
std::string write_sarif(const Report& report);        ///< SARIF 2.1.0

}  // namespace attnfuzz
