/* The rules of failover (R1 to R9) between two nodes and one register, for SPIN.
 *
 * Any process may be stopped for any time: its steps are then not taken, while the device goes on.
 * Timers and heartbeats have no place here: whoever may suspect may do so at any time. Answers of
 * the register come late, out of order with what is asked later, or never; programs, standbys and
 * controllers end and are started again without what they knew. -DWITHOUT_R1 to -DWITHOUT_R9 leave
 * out one rule each.
 *
 * -DWITH_LEAVING: programs end their protection in order and are protected anew; -DOWN_RECORDS, with
 * it: each node keeps records of its own, and fences the other one before it takes over unless that
 * one says that its program has ended. -DWITHOUT_LEFT_... leave out what keeps that safe. */

#include "words.pml"
#include "judge.pml"
#include "register.pml"
#include "controller.pml"
#include "standby.pml"
#include "program.pml"
#include "arbiter.pml"

/* As after a first full copy: node 0 leads, node 1 holds the copy. */
init {
	d_step {
		program[0] = 1;
		program_lives[0] = 1;
		led[0] = 1;
		gate[0] = ACKNOWLEDGED;
		session[0] = STREAMING;
		session_peer[0] = 1;
		standby[1] = 1;
		standby_lives[1] = 1;
		standby_generation[1] = 1;
		standby_owner[1] = 1;
		standby_session[1] = 1;
		copy_of[1] = 1;
		see(0, 0);
		see(1, 0);
		know_program(0);
		know_standby(1);
		is_told[1] = 1;
		led_generation[0] = 1;
		is_led_pair[0] = 1;
		state[0] = PRIMARY_PAIR;
		state[1] = SECONDARY
	}
	run Register();
	run Controller(0);
	run Controller(1);
	run Program(0);
	run Program(1);
	run Standby(0);
	run Standby(1)
}
