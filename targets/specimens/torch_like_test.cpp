#include "targets/specimens/torch_like.h"

#include <gtest/gtest.h>

#include <numeric>

namespace attnfuzz::torch_like {
namespace {

/// The texts here were taken from PyTorch 2.13 by doing the same to its tensors.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const TorchError& error) {
    return error.what();
  }
  return "no error";
}

Array counted(Shape shape) {
  Array a(std::move(shape));
  std::iota(a.values.begin(), a.values.end(), 0.0F);
  return a;
}

Array sum(const Array& a, const Array& b) {
  return elementwise(a, b, [](float x, float y) { return x + y; });
}

TEST(TorchLike, ElementwiseBroadcasts) {
  const Array out = sum(counted({2, 1, 3}), counted({2, 1}));
  EXPECT_EQ(out.shape, (Shape{2, 2, 3}));
  EXPECT_EQ(out.values, (std::vector<float>{0, 1, 2, 1, 2, 3, 3, 4, 5, 4, 5, 6}));
}

TEST(TorchLike, ElementwiseNamesTheLastAxisThatDoesNotFit) {
  EXPECT_EQ(error_of([] {
              sum(Array({8, 8}), Array({2, 8}));
            }),
            "The size of tensor a (8) must match the size of tensor b (2) at non-singleton "
            "dimension 0");
  EXPECT_EQ(error_of([] {
              sum(Array({3, 5}), Array({3, 2, 4}));
            }),
            "The size of tensor a (5) must match the size of tensor b (4) at non-singleton "
            "dimension 2");
}

TEST(TorchLike, ExpandTellsTheAxis) {
  EXPECT_EQ(error_of([] {
              expand(Array({2, 1, 8, 8}), {2, 4, 5, 8});
            }),
            "The expanded size of the tensor (5) must match the existing size (8) at non-singleton "
            "dimension 2.  Target sizes: [2, 4, 5, 8].  Tensor sizes: [2, 1, 8, 8]");
  EXPECT_EQ(error_of([] {
              expand(Array({2, 3}), {3});
            }),
            "expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1) must be "
            "greater or equal to the number of dimensions in the tensor (2)");
}

TEST(TorchLike, CatTellsTheTensor) {
  EXPECT_EQ(error_of([] {
              cat({Array({2, 4, 3, 8}), Array({2, 1, 5, 8})}, -2);
            }),
            "Sizes of tensors must match except in dimension 2. Expected size 4 but got size 1 for "
            "tensor number 1 in the list.");
  EXPECT_EQ(error_of([] {
              cat({Array({2, 4, 3, 8}), Array({2, 4, 3, 8}), Array({2, 4, 5, 7})}, 2);
            }),
            "Sizes of tensors must match except in dimension 2. Expected size 8 but got size 7 for "
            "tensor number 2 in the list.");
  const Array out = cat({counted({2, 1}), counted({2, 2})}, 1);
  EXPECT_EQ(out.values, (std::vector<float>{0, 0, 1, 1, 2, 3}));
}

TEST(TorchLike, PadTakesNoNone) {
  EXPECT_EQ(error_of([] {
              pad(Array({2, 3}), {0, std::nullopt});
            }),
            "pad(): argument 'pad' failed to unpack the object at pos 2 with error \"type must be "
            "tuple of ints,but got NoneType\"");
  EXPECT_EQ(error_of([] {
              pad(Array({2, 3}), {std::nullopt, 0});
            }),
            "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of type "
            "NoneType at pos 0");
  EXPECT_EQ(pad(counted({2, 1}), {1, 2}, 9).values, (std::vector<float>{9, 0, 9, 9, 9, 1, 9, 9}));
}

TEST(TorchLike, SlicesClampTheirEnds) {
  Array buffer({1, 6, 1});
  assign_slice(buffer, 1, 4, 6, counted({1, 2, 1}));
  EXPECT_EQ(buffer.values, (std::vector<float>{0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(slice(buffer, 1, 5, 9).values, (std::vector<float>{1}));
  EXPECT_EQ(error_of([&] {
              assign_slice(buffer, 1, 4, 7, Array({1, 3, 1}));
            }),
            "The expanded size of the tensor (2) must match the existing size (3) at non-singleton "
            "dimension 1.  Target sizes: [1, 2, 1].  Tensor sizes: [1, 3, 1]");
  EXPECT_EQ(error_of([&] { assign_slice(buffer, 1, 9, 10, Array({1, 1, 1})); }), "no error");
}

TEST(TorchLike, RepeatsAndTransposes) {
  EXPECT_EQ(repeat_interleave(counted({2, 1}), 0, 2).values, (std::vector<float>{0, 0, 1, 1}));
  EXPECT_EQ(repeat(counted({2, 1}), 0, 2).values, (std::vector<float>{0, 1, 0, 1}));
  EXPECT_EQ(index_select(counted({3, 1}), 0, {2, 2, 0}).values, (std::vector<float>{2, 2, 0}));
  const Array turned = transpose(counted({1, 2, 3, 2}), 1, 2);
  EXPECT_EQ(turned.shape, (Shape{1, 3, 2, 2}));
  EXPECT_EQ(turned.values, (std::vector<float>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
}

}  // namespace
}  // namespace attnfuzz::torch_like
