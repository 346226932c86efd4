#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Shapes and numbers in any text: what they are is told by how they are written, not by whose text
/// it is.
namespace attnfuzz::triage {

/// A number and where it stands.
struct Size {
  int64_t value = 0;
  size_t offset = 0, length = 0;
  std::string name;  ///< the text's own: "heads" of "[heads=8, dim=64]"
};

/// A shape ("[2, 8, 4, 32]", "2x8x4x32", "torch.Size([2, 8])", "f32[2,8]") or a number alone.
struct Mention {
  enum class Kind : uint8_t {
    shape,
    size,      ///< a number alone that can be an axis's size
    dim,       ///< says which axis: "at dimension 3"
    rank,      ///< says how many axes: "4 dimensions"
    elements,  ///< of a whole tensor: "input of size 43008"
    none       ///< versions, lines, error codes
  };
  Kind kind = Kind::none;
  std::vector<Size> sizes;
  size_t begin = 0, end = 0;  ///< of all of it
  std::string before,
      after;                 ///< the words up to the mentions around it, at most some 80 characters
  bool is_reversed = false;  ///< innermost axis first, as ggml's "ne"
  int lacks =
      -1;  ///< the axis that a slice of a tensor lacks: "slice shape: 4 20 64 at dimension 2"
};

/// All mentions of the text, in its order.
std::vector<Mention> mentions_in(std::string_view text);

}  // namespace attnfuzz::triage
