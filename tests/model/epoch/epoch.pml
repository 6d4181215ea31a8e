/* The epochs of one copy (DESIGN 4, section C of docs/protocol.md), for SPIN: a program, its engine,
 * a device with two channels, and the secondary.
 *
 * A crash of the primary is "takes no step any more", and the copy may be promoted whenever it is
 * one: so every state is judged by what a promotion would find in it (judge.pml). A write that is
 * posted reads its source when it is posted or when it lands, and any suffix of what a channel
 * carries may be lost, for a fence may come at any time. Time has no place here: what may be late
 * may be late for ever. -DWITHOUT_... leave out one rule each. */

#include "words.pml"
#include "judge.pml"
#include "wire.pml"
#include "secondary.pml"
#include "primary.pml"
#include "device.pml"
#include "program.pml"

/* A session is up, and the secondary has applied epoch 0: nothing but zeros. */
init {
	d_step {
		owner[0] = NONE;
		owner[1] = NONE;
		owner[SLOT] = NONE
	}
	run Program();
	run Primary();
	run Device();
	run Secondary();
	run Judge()
}
