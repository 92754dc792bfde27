// Singular values as attenuators make them: gain * cos(ratio * round(acos(value / gain) / step) * step), block by block.
#include <cmath>
#include <cstdint>

#include "lanes.hpp"
#include "parallel.hpp"

namespace {

constexpr double whole = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to the nearest integer, ties to even
constexpr int64_t held = 512;                 // values worked on at once, in the nearest cache

inline Vector realise(Vector value, Vector ratio, double step) {
    const Vector inside = value > 1.0 ? Vector{} + 1.0 : (value < -1.0 ? Vector{} - 1.0 : value);
    Vector phase = angle({inside, root((1.0 - inside) * (1.0 + inside))});
    if (step > 0) phase = ((phase / step + whole) - whole) * step;
    return phasor(phase * ratio).re;
}

// values, ratio (or null), realised: [blocks, size]; least gains (or null): [blocks]; step 0 leaves the phases exact.
template <typename T>
void attenuate(int64_t size, const T* values, const T* ratio, const T* least, double step, T* realised, int64_t first,
               int64_t last) {
    double asked[held + lanes], ratios[held + lanes], gains[held + lanes];
    const int64_t batch = std::max<int64_t>(1, held / size);
    for (int64_t start = first; start < last; start += batch) {
        const int64_t stop = std::min(last, start + batch), offset = start * size, count = (stop - start) * size;
        for (int64_t block = 0; block < stop - start; ++block) {
            T largest = least ? least[start + block] : 0;
            for (int64_t i = 0; i < size; ++i) largest = std::max(largest, std::fabs(values[offset + block * size + i]));
            for (int64_t i = block * size; i < (block + 1) * size; ++i) {
                asked[i] = values[offset + i];
                ratios[i] = ratio ? ratio[offset + i] : 1.0;
                gains[i] = largest;
            }
        }
        for (int64_t i = count; i < count + lanes; ++i) asked[i] = ratios[i] = gains[i] = 1;
        for (int64_t i = 0; i < count; i += lanes) {
            Vector value, factor, gain;
            __builtin_memcpy(&value, asked + i, sizeof value);
            __builtin_memcpy(&gain, gains + i, sizeof gain);
            __builtin_memcpy(&factor, ratios + i, sizeof factor);
            const Vector divisor = gain > 0.0 ? gain : Vector{} + 1.0;  // in a block of zeros
            const Vector made = gain * realise(value / divisor, factor, step);
            for (int64_t j = 0; j < std::min<int64_t>(lanes, count - i); ++j) realised[offset + i + j] = made[j];
        }
    }
}

}  // namespace

#define ATTENUATE(NAME, T)                                                                                             \
    extern "C" void attenuate_##NAME(int64_t blocks, int64_t size, int64_t threads, double step, const T* values,      \
                                     const T* ratio, const T* least, T* realised) {                                    \
        in_parallel(blocks, size * 100, threads, [=](int64_t first, int64_t last) {                                    \
            attenuate<T>(size, values, ratio, least, step, realised, first, last);                                     \
        });                                                                                                            \
    }

ATTENUATE(float32, float)
ATTENUATE(float64, double)
