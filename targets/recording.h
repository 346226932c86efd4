#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/case_io.h"
#include "targets/target.h"

namespace attnfuzz {

inline constexpr int recording_version = 1;
/// How the name of a RecordedTarget begins; the function that was called follows.
inline constexpr std::string_view recorded_prefix = "recording:";

/// A real call, caught in a running program: what was asked is a Case with given tensors; what came
/// of it is an Outcome, or the error that it raised. Tensors are read when they are asked for.
struct RecordedCall {
  std::filesystem::path case_file;
  std::filesystem::path outputs;    ///< a safetensors file; empty: the call raised `error`
  std::filesystem::path by_config;  ///< the case as the model's configuration says it; may be empty
  std::string error, function, module, where;
  std::optional<int64_t> layer, step;
  std::string
      precision;  ///< JSON, as a target's for one dtype; empty: default_recorded_precision()

  Case asked() const;
  /// Throws InputError for a file that does not hold outputs. Wrong shapes and dtypes are left to
  /// the judge.
  Outcome outcome(const Case& c) const;
};

/// Calls that were not kept, and why.
struct NotKept {
  std::string why;
  int64_t count = 0;
  std::string function, where;
};

/// A folder that `attnfuzz record` or tools/vectors.sh writes; docs/recording.md has the format.
struct Recording {
  std::filesystem::path folder;
  std::string about, device;
  std::map<std::string, std::string> packages;  ///< and their versions
  std::string config;                           ///< the model's, as JSON; empty: none
  std::vector<RecordedCall> calls;
  std::vector<NotKept> not_kept;
};

/// Strict: throws InputError naming the file and the path in it.
Recording read_recording(const std::filesystem::path& folder);

/// What is assumed of a call that does not say how it computes: sums in f32, scores and p stored in
/// the case's dtype, subnormal numbers flushed, exp to 20 ulps. Loose, so that no right call is
/// called wrong.
Precision default_recorded_precision(DType dtype);
/// The call's own for a dtype, or that. Throws InputError(where, …).
Precision recorded_precision(const RecordedCall& call, DType dtype);

/// Answers one case with what a call gave, and declines all others.
class RecordedTarget final : public Target {
 public:
  RecordedTarget(const Recording& recording, const RecordedCall& call, Case c);
  const TargetInfo& info() const override { return info_; }
  Outcome run(const Case& c, const Inputs& inputs) override;

 private:
  TargetInfo info_;
  Case case_;
  Outcome outcome_;
};

}  // namespace attnfuzz
