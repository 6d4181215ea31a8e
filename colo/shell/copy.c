#include "copy.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

#include <immintrin.h>

#define AHEAD_BYTES 512 /* what is read is asked for so far before */

__attribute__((target("avx2"))) static void copy_avx2(void *to, const void *from, size_t length)
{
	const __m256i *source = from;
	__m256i *target = to;

	for (size_t done = 0; done < length; done += 128, source += 4, target += 4) {
		const __m256i a = _mm256_load_si256(source);
		const __m256i b = _mm256_load_si256(source + 1);
		const __m256i c = _mm256_load_si256(source + 2);
		const __m256i d = _mm256_load_si256(source + 3);

		_mm_prefetch((const char *)source + AHEAD_BYTES, _MM_HINT_NTA);
		_mm_prefetch((const char *)source + AHEAD_BYTES + 64, _MM_HINT_NTA);
		_mm256_stream_si256(target, a);
		_mm256_stream_si256(target + 1, b);
		_mm256_stream_si256(target + 2, c);
		_mm256_stream_si256(target + 3, d);
	}
}

void tandem_copy_around(void *to, const void *from, size_t length)
{
	if (__builtin_cpu_supports("avx2"))
		copy_avx2(to, from, length);
	else
		memcpy(to, from, length);
}

void tandem_copy_publish(void)
{
	_mm_sfence();
}

#else

void tandem_copy_around(void *to, const void *from, size_t length)
{
	memcpy(to, from, length);
}

void tandem_copy_publish(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

#endif
