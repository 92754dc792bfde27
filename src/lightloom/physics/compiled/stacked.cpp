// Convolutions of many specimens: the same stages for all, each specimen with weights of its own.
//
// Images lie innermost, some vectors of them abreast: one weight then meets whole vectors, and sums stay in registers
// whatever the size of the image. A tile of images passes all stages before the next one starts, so that what lies
// between two stages never leaves the nearer caches.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "parallel.hpp"

namespace {

constexpr int64_t width = 16;              // images in a vector
constexpr int most_abreast = 3;            // vectors: with `most_rows` of sums, all registers that there are
constexpr int64_t most_rows = 8;           // output channels summed together
constexpr int64_t near = int64_t(1) << 17;  // floats of the lines that a kernel covers, in the nearer caches
typedef float Images __attribute__((vector_size(64)));
typedef float AnyImages __attribute__((vector_size(64), aligned(4), may_alias));

struct Stage {
    int64_t channels, height, length;          // of the image
    int64_t outputs, tall, broad;              // of the kernel
    int64_t down, right, above, left;          // stride and padding
    int64_t spread_down, spread_right, groups;  // dilation
    int64_t made_height, made_length;
    int64_t taken() const { return channels / groups; }
    int64_t given() const { return outputs / groups; }
    int64_t taps() const { return taken() * tall * broad; }
    int64_t area() const { return made_height * made_length; }
};

struct Bounds {
    float low, high;
};

// sums [Rows] += weights [taps, Rows] times pixels [taps, images]
template <int Rows, int Vectors>
inline void add(Images (&sums)[Rows][Vectors], const float* weights, const float* pixels, int64_t taps) {
    Images held[Rows][Vectors];  // whose address nobody takes, so that it stays in registers
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < Vectors; ++v) held[r][v] = sums[r][v];
    for (int64_t t = 0; t < taps; ++t, weights += Rows, pixels += Vectors * width) {
        Images seen[Vectors];
        for (int v = 0; v < Vectors; ++v) seen[v] = *reinterpret_cast<const AnyImages*>(pixels + v * width);
        for (int r = 0; r < Rows; ++r)
            for (int v = 0; v < Vectors; ++v) held[r][v] += weights[r] * seen[v];
    }
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < Vectors; ++v) sums[r][v] = held[r][v];
}

// Rows channels of one pixel. Image [height, length, channels, images]; taps beyond its edge are zeros and left out.
template <int Rows, int Vectors>
void pixel(const Stage& s, const float* weights, const float* bias, Bounds bounds, const float* image, float* made,
           int64_t y, int64_t x) {
    constexpr int64_t images = Vectors * width;
    Images sums[Rows][Vectors];
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < Vectors; ++v) sums[r][v] = Images{} + bias[r];
    const int64_t top = y * s.down - s.above, start = x * s.right - s.left, taken = s.taken();
    const bool connected = s.spread_right == 1 && s.groups == 1;  // neighbouring taps lie side by side
    for (int64_t i = 0; i < s.tall; ++i) {
        const int64_t row = top + i * s.spread_down;
        if (row < 0 || row >= s.height) continue;
        const float* line = image + row * s.length * s.channels * images;
        const float* of_line = weights + i * s.broad * taken * Rows;
        if (connected) {
            const int64_t first = std::max<int64_t>(0, -start), last = std::min(s.broad, s.length - start);
            if (first < last)
                add<Rows, Vectors>(sums, of_line + first * taken * Rows, line + (start + first) * taken * images,
                                   (last - first) * taken);
            continue;
        }
        for (int64_t j = 0; j < s.broad; ++j) {
            const int64_t column = start + j * s.spread_right;
            if (column < 0 || column >= s.length) continue;
            add<Rows, Vectors>(sums, of_line + j * taken * Rows, line + column * s.channels * images, taken);
        }
    }
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < Vectors; ++v) {
            Images sum = sums[r][v];
            sum = sum < bounds.low ? Images{} + bounds.low : sum;
            sum = sum > bounds.high ? Images{} + bounds.high : sum;
            *reinterpret_cast<AnyImages*>(made + r * images + v * width) = sum;
        }
}

template <int Rows, int Vectors>
void line(const Stage& s, const float* weights, const float* bias, Bounds bounds, const float* image, float* made,
          int64_t y) {
    for (int64_t x = 0; x < s.made_length; ++x)
        pixel<Rows, Vectors>(s, weights, bias, bounds, image, made + x * s.outputs * Vectors * width, y, x);
}

// One stage of one tile. Line by line, so that the lines of the image that are needed stay near for all channels.
template <int Vectors>
void convolve(const Stage& s, const float* packed, const float* bias, Bounds bounds, const float* image, float* made) {
    constexpr int64_t images = Vectors * width;
    for (int64_t y = 0; y < s.made_height; ++y)
        for (int64_t group = 0; group < s.groups; ++group)
            for (int64_t o = 0; o < s.given(); o += most_rows) {
                const int64_t first = group * s.given() + o;
                const float *w = packed + first * s.taps(), *b = bias + first;
                const float* from = image + group * s.taken() * images;
                float* to = made + (y * s.made_length * s.outputs + first) * images;
                switch (std::min(most_rows, s.given() - o)) {
                    case 1: line<1, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 2: line<2, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 3: line<3, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 4: line<4, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 5: line<5, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 6: line<6, Vectors>(s, w, b, bounds, from, to, y); break;
                    case 7: line<7, Vectors>(s, w, b, bounds, from, to, y); break;
                    default: line<8, Vectors>(s, w, b, bounds, from, to, y);
                }
            }
}

// Weights [outputs, taken, tall, broad] times scale [outputs] as [tall, broad, taken, rows] for each run of rows.
float* pack(const Stage& s, const float* weights, const float* scale, float* packed) {
    const int64_t kernel = s.tall * s.broad;
    for (int64_t group = 0; group < s.groups; ++group)
        for (int64_t o = 0; o < s.given(); o += most_rows) {
            const int64_t first = group * s.given() + o, rows = std::min(most_rows, s.given() - o);
            const float* from = weights + first * s.taps();
            for (int64_t k = 0; k < kernel; ++k)
                for (int64_t c = 0; c < s.taken(); ++c)
                    for (int64_t r = 0; r < rows; ++r)
                        *packed++ = from[r * s.taps() + c * kernel + k] * scale[first + r];
        }
    return packed;
}

// What does not change between the tiles.
struct Network {
    int64_t specimens, images, count;
    const Stage* stages;
    const Bounds* bounds;
    const float* const* weights;  // per stage [specimens, outputs, taken, tall, broad]
    const float* const* scales;   // per stage [outputs]
    const float* const* biases;   // per stage [specimens, outputs]
    const float* inputs;          // [specimens or 1, images, channels, height, length]
    bool common;                  // one set of inputs serves all specimens
    float* made;                  // [specimens, images, outputs, made_height, made_length]

    int64_t first_size() const { return stages[0].channels * stages[0].height * stages[0].length; }
    int64_t last_size() const { return stages[count - 1].outputs * stages[count - 1].area(); }

    // Images [images, channels, height, length] as a tile [height, length, channels, images of the tile].
    void load(int64_t specimen, int64_t first, int64_t held, int64_t step, float* tile) const {
        const Stage& s = stages[0];
        const int64_t area = s.height * s.length, size = first_size();
        const float* from = inputs + ((common ? 0 : specimen) * images + first) * size;
        std::memset(tile, 0, sizeof(float) * size * step);
        for (int64_t c = 0; c < s.channels; ++c)
            for (int64_t start = 0; start < area; start += width)  // a few lines of memory at a time, on both sides
                for (int64_t n = 0; n < held; ++n)
                    for (int64_t p = start; p < std::min(area, start + width); ++p)
                        tile[(p * s.channels + c) * step + n] = from[(n * s.channels + c) * area + p];
    }

    void store(int64_t specimen, int64_t first, int64_t held, int64_t step, const float* tile) const {
        const Stage& s = stages[count - 1];
        const int64_t area = s.area();
        float* to = made + (specimen * images + first) * last_size();
        for (int64_t o = 0; o < s.outputs; ++o)
            for (int64_t start = 0; start < area; start += width)
                for (int64_t n = 0; n < held; ++n)
                    for (int64_t p = start; p < std::min(area, start + width); ++p)
                        to[(n * s.outputs + o) * area + p] = tile[(p * s.outputs + o) * step + n];
    }
};

struct Work {
    std::vector<float> one, other, packed;
    int64_t specimen = -1;

    Work(const Network& net, int64_t room, int64_t step) : one(room * step), other(room * step) {
        int64_t weights = 0;
        for (int64_t n = 0; n < net.count; ++n) weights += net.stages[n].outputs * net.stages[n].taps();
        packed.resize(weights);
    }

    void become(const Network& net, int64_t next) {
        if (specimen == next) return;
        float* to = packed.data();
        for (int64_t n = 0; n < net.count; ++n) {
            const Stage& s = net.stages[n];
            to = pack(s, net.weights[n] + next * s.outputs * s.taps(), net.scales[n], to);
        }
        specimen = next;
    }
};

// Tiles `first` ... `last` of Vectors x width images, specimen after specimen; `loaded` are the common ones, if any.
template <int Vectors>
void pass(const Network& net, int64_t room, int64_t tiles, const float* loaded, int64_t first, int64_t last) {
    constexpr int64_t step = Vectors * width;
    Work work(net, room, step);
    for (int64_t item = first; item < last; ++item) {
        const int64_t specimen = item / tiles, start = item % tiles * step, held = std::min(step, net.images - start);
        work.become(net, specimen);
        if (!loaded) net.load(specimen, start, held, step, work.one.data());
        const float* image = loaded ? loaded + start * net.first_size() : work.one.data();
        float *to = work.other.data(), *spare = work.one.data();
        const float* packed = work.packed.data();
        for (int64_t n = 0; n < net.count; ++n) {
            const Stage& s = net.stages[n];
            convolve<Vectors>(s, packed, net.biases[n] + specimen * s.outputs, net.bounds[n], image, to);
            packed += s.outputs * s.taps();
            image = to;
            std::swap(to, spare);
        }
        net.store(specimen, start, held, step, image);
    }
}

template <int Vectors>
void run(const Network& net, int64_t room, int64_t work, int64_t threads) {
    constexpr int64_t step = Vectors * width;
    const int64_t tiles = (net.images + step - 1) / step, size = net.first_size();
    std::vector<float> loaded(net.common ? tiles * step * size : 0);
    if (net.common)
        in_parallel(tiles, step * size * 4, threads, [&](int64_t first, int64_t last) {
            for (int64_t t = first; t < last; ++t)
                net.load(0, t * step, std::min(step, net.images - t * step), step, loaded.data() + t * step * size);
        });
    const float* common = net.common ? loaded.data() : nullptr;
    in_parallel(net.specimens * tiles, work * step, threads, [&](int64_t first, int64_t last) {
        pass<Vectors>(net, room, tiles, common, first, last);
    });
}

}  // namespace

extern "C" void stacked_convolve(int64_t specimens, int64_t images, int64_t count, const int64_t* geometry,
                                 const float* bounds, const float* const* weights, const float* const* scales,
                                 const float* const* biases, const float* inputs, int64_t common, int64_t threads,
                                 float* made) {
    const Network net{specimens, images, count, reinterpret_cast<const Stage*>(geometry),
                      reinterpret_cast<const Bounds*>(bounds), weights, scales, biases, inputs, common != 0, made};
    int64_t room = net.first_size(), work = 0, lines = 0;
    for (int64_t n = 0; n < count; ++n) {
        const Stage& s = net.stages[n];
        room = std::max(room, s.outputs * s.area());
        work += s.outputs * s.area() * s.taps();
        lines = std::max(lines, s.tall * s.length * s.channels);
    }
    const bool abreast = images > width && lines * most_abreast * width <= near;
    if (abreast) run<most_abreast>(net, room, work, threads);
    else run<1>(net, room, work, threads);
}
