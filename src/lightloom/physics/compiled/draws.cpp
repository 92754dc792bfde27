// The numbers that torch's CPU generator draws, of many seeds side by side.
//
// A generator is the 32-bit Mersenne twister of Matsumoto and Nishimura (ACM TOMACS 8, 3 (1998)); a uniform number is
// its low 24 bits over 2^24. Normal numbers are made sixteen at a time by Box and Muller: the first eight uniform
// numbers give radii, the others angles. Those beyond a limit are drawn anew, all in one more round, until none is left.

#include <cstdint>
#include <cstring>
#include <vector>

#include "lanes.hpp"
#include "parallel.hpp"

namespace {

constexpr int64_t block = 16;
constexpr double doubt = 4e-6;  // nearer to the limit than this, single precision may have decided otherwise

class Twister {
    static constexpr int words = 624, middle = 397;
    uint32_t state[words], drawn[words];
    int next = words;

    static uint32_t mix(uint32_t high, uint32_t low) {
        const uint32_t joined = (high & 0x80000000u) | (low & 0x7fffffffu);
        return (joined >> 1) ^ ((low & 1u) * 0x9908b0dfu);
    }

    void turn() {
        // what is read was written at least 227 words ago, more than any vector holds
#pragma GCC ivdep
        for (int i = 0; i < words - middle; ++i) state[i] = state[i + middle] ^ mix(state[i], state[i + 1]);
#pragma GCC ivdep
        for (int i = words - middle; i < words - 1; ++i)
            state[i] = state[i + middle - words] ^ mix(state[i], state[i + 1]);
        state[words - 1] = state[middle - 1] ^ mix(state[words - 1], state[0]);
        for (int i = 0; i < words; ++i) {
            uint32_t y = state[i];
            y ^= y >> 11;
            y ^= (y << 7) & 0x9d2c5680u;
            y ^= (y << 15) & 0xefc60000u;
            drawn[i] = (y ^ (y >> 18)) & 0xffffffu;
        }
        next = 0;
    }

public:
    explicit Twister(uint64_t seed) {
        state[0] = uint32_t(seed);
        for (int i = 1; i < words; ++i) state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + uint32_t(i);
    }

    void fill(float* to, int64_t count) {
        while (count > 0) {
            if (next == words) turn();
            const int64_t taken = std::min<int64_t>(count, words - next);
            for (int64_t i = 0; i < taken; ++i) to[i] = float(int32_t(drawn[next + i])) * 0x1p-24f;
            next += int(taken), to += taken, count -= taken;
        }
    }
};

// The natural logarithm of 0 < x <= 1, to 1e-12: the series of atanh on the mantissa.
inline Vector logarithm(Vector x) {
    const Bits bits = (Bits)x;
    Bits exponent = (bits >> 52) - 1023;
    Vector mantissa = (Vector)((bits & 0xfffffffffffffLL) | 0x3ff0000000000000LL);
    const Bits large = mantissa > 1.4142135623730951;
    mantissa = large ? mantissa * 0.5 : mantissa;
    exponent -= large;  // a true comparison is -1
    const Vector t = (mantissa - 1.0) / (mantissa + 1.0), z = t * t;
    Vector sum = Vector{};
    for (int n = 15; n >= 1; n -= 2) sum = sum * z + 1.0 / n;
    return __builtin_convertvector(exponent, Vector) * 0.69314718055994531 + 2.0 * t * sum;
}

// Sixteen uniform numbers become normal ones.
inline void box_muller(const float* uniform, double* normal) {
    Vector share, turns;
    for (int i = 0; i < lanes; ++i) share[i] = 1.0 - uniform[i], turns[i] = float(2 * pi * uniform[i + lanes]);
    const Vector radius = root(-2.0 * logarithm(share));
    const Phasor angle = phasor(turns);
    const Vector x = radius * angle.re, y = radius * angle.im;
    std::memcpy(normal, &x, sizeof x);
    std::memcpy(normal + lanes, &y, sizeof y);
}

// Uniform numbers of one round; the last block is drawn once more where the count is not a multiple of a block.
void draw_round(Twister& twister, std::vector<float>& uniform, float (&last)[block], int64_t count) {
    twister.fill(uniform.data(), count);
    if (count % block) twister.fill(last, block);
}

// `count` >= 16 numbers of standard deviation 1 within -limit ... limit. False where one lay too near to the limit.
bool truncated(uint64_t seed, int64_t count, double limit, float scale, float* made) {
    Twister twister(seed);
    std::vector<float> uniform(count);
    std::vector<int64_t> rejected, still;
    float last[block];
    double normal[block];
    bool certain = true;
    draw_round(twister, uniform, last, count);
    const int64_t whole = count / block * block, tail = count - block;
    for (int64_t start = 0; start < count; start += block) {
        const int64_t from = start < whole ? start : tail;
        box_muller(start < whole ? uniform.data() + from : last, normal);
        for (int64_t i = 0; i < block; ++i) made[from + i] = float(normal[i]);
    }
    for (int64_t i = 0; i < count; ++i) {
        const double size = std::fabs(double(made[i]));
        certain &= std::fabs(size - limit) > doubt;
        if (size > limit) rejected.push_back(i);
    }
    while (!rejected.empty() && certain) {
        draw_round(twister, uniform, last, count);
        int64_t held = -1;
        still.clear();
        for (int64_t i : rejected) {
            const bool at_end = count % block && i >= tail;
            const int64_t from = at_end ? tail : i / block * block;
            if (from != held) box_muller(at_end ? last : uniform.data() + from, normal);
            held = from;
            made[i] = float(normal[i - from]);
            const double size = std::fabs(normal[i - from]);
            certain &= std::fabs(size - limit) > doubt;
            if (size > limit) still.push_back(i);
        }
        rejected.swap(still);
    }
    for (int64_t i = 0; i < count; ++i) made[i] *= scale;
    return certain;
}

}  // namespace

extern "C" void draws_uniform(int64_t seeds, int64_t count, const uint64_t* seed, int64_t threads, float* made) {
    in_parallel(seeds, count + 2000, threads, [=](int64_t first, int64_t last) {
        for (int64_t s = first; s < last; ++s) Twister(seed[s]).fill(made + s * count, count);
    });
}

// made: [seeds, count]; certain: [seeds], 0 where single precision might have chosen another number.
extern "C" void draws_truncated(int64_t seeds, int64_t count, const uint64_t* seed, double limit, double scale,
                                int64_t threads, float* made, uint8_t* certain) {
    in_parallel(seeds, count * 12 + 2000, threads, [=](int64_t first, int64_t last) {
        for (int64_t s = first; s < last; ++s)
            certain[s] = truncated(seed[s], count, limit, float(scale), made + s * count);
    });
}
