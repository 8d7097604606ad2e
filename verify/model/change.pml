/*
 * A campaign's capacity, while two operators change it: in the ledger under a lock that ends with its session, and at
 * the gate. README.md says what each part stands for. Users and drain are reduced to two counters.
 *
 * A process that changes something is one of: operator 1, operator 2, the relay. Each step is one statement or script.
 *
 * -DFAULTS=n  faults in a run at most     -DNO_...  take one guard away     -DLOSES  the ledger may go back to a backup
 */

#ifndef FAULTS
#define FAULTS 1
#endif

#define MOST 3                    /* coupons at most */

byte ledger = 2, ledger_version = 1;
byte gate = 2, gate_version = 1;
byte accepted, rows, overflow;
byte lock;                        /* the process whose session holds it, 0: none */
byte changes = 2;                 /* changes that operators still make */
byte faults = FAULTS;

#define FAULT_IF(condition) (condition) && faults > 0 -> faults--

#define GUARANTEE(g, holds, broken) \
    if \
    :: !(holds) -> printf("BROKEN: G%d: ", g); printf(broken); assert(false) \
    :: else \
    fi

/* ---- What the gate does with a campaign: configure.lua ----------------------------------------------------------- */

#define DONE 0
#define STALE 1
#define BELOW_ACCEPTED 2

#ifdef NO_VERSIONS
#define IS_STALE(to, version) false
#else
#define IS_STALE(to, version) (version < gate_version || version == gate_version && to != gate)
#endif

#ifdef NO_ACCEPTED_CHECK
#define IS_BELOW(to) false
#else
#define IS_BELOW(to) (accepted > to)
#endif

inline change_gate(to, version, result) {
    if
    :: IS_STALE(to, version) -> result = STALE; printf("process %d: the gate has a newer version\n", me)
    :: !IS_STALE(to, version) && IS_BELOW(to) -> result = BELOW_ACCEPTED;
        printf("process %d: the gate has accepted more than %d\n", me, to)
    :: else -> gate = to; gate_version = version; result = DONE;
        printf("process %d sets the gate to %d, version %d\n", me, to, version)
    fi
}

/* ---- What the ledger does: a compare-and-set by version, on a session that must still be the one of the lock ------ */

#ifdef NO_SESSION_CHECK
#define HAS_SESSION true
#else
#define HAS_SESSION (lock == me)
#endif

#ifdef NO_VERSIONS
#define IS_CURRENT(version) true
#else
#define IS_CURRENT(version) (ledger_version == version)
#endif

/* Alignment: the higher version wins, and what the gate has accepted. Sets `is_done`. */
#define ALIGN \
        atomic { \
            is_done = false; \
            if \
            :: !HAS_SESSION -> version = 0 \
            :: HAS_SESSION && gate_version > ledger_version -> ledger = gate; ledger_version = gate_version; \
                printf("process %d restores the ledger to %d, version %d\n", me, ledger, ledger_version); \
                now = ledger; version = ledger_version \
            :: else -> now = ledger; version = ledger_version \
            fi \
        }; \
        if \
        :: version == 0 || (now == gate && version == gate_version) -> is_done = (version != 0) \
        :: else -> \
            atomic { change_gate(now, version, result) }; \
            if \
            :: result == DONE -> is_done = true \
            :: else -> \
                atomic { \
                    if \
                    :: HAS_SESSION && IS_CURRENT(version) -> \
                        ledger = (result == BELOW_ACCEPTED -> accepted : now); ledger_version = version + 1; \
                        now = ledger; version = ledger_version; \
                        printf("process %d sets the ledger to %d, version %d\n", me, ledger, ledger_version) \
                    :: else -> version = 0 \
                    fi \
                }; \
                if \
                :: version != 0 -> atomic { change_gate(now, version, result) }; is_done = (result == DONE) \
                :: else \
                fi \
            fi \
        fi

inline unlock() {
    if
    :: lock == me -> lock = 0
    :: else
    fi
}

/* ---- Operators: campaigns.py -------------------------------------------------------------------------------------- */

proctype Operator(byte me) {
    byte now, version, wanted, result;
    bool is_done;
end:
    do
    :: atomic { changes > 0 && lock == 0 -> changes--; lock = me;
            if
            :: wanted = 1
            :: wanted = 2
            :: wanted = 3
            fi;
            printf("operator %d wants %d\n", me, wanted)
        };
        ALIGN;
        if
        :: is_done ->
            if
#ifdef NO_GATE_FIRST
            :: wanted < now -> result = DONE
#else
            :: wanted < now -> atomic { change_gate(wanted, version + 1, result) }
#endif
#ifdef NO_LEDGER_FIRST
            :: wanted > now -> atomic { change_gate(wanted, version + 1, result) }
#else
            :: wanted > now -> result = DONE
#endif
            :: wanted == now -> result = STALE
            fi;
            if
            :: result == DONE && HAS_SESSION && IS_CURRENT(version) ->
                atomic {
                    if
                    :: HAS_SESSION && IS_CURRENT(version) -> ledger = wanted; ledger_version = version + 1;
                        printf("operator %d sets the ledger to %d, version %d\n", me, wanted, ledger_version)
                    :: else -> result = STALE
                    fi
                };
                if
                :: result == DONE -> ALIGN
                :: atomic { FAULT_IF(result == DONE); printf("FAULT: operator %d's request dies\n", me) }
                :: else
                fi
            :: atomic { FAULT_IF(result == DONE && HAS_SESSION); printf("FAULT: operator %d's request dies\n", me) }
            :: else
            fi
        :: else
        fi;
        atomic { unlock(); now = 0; version = 0; wanted = 0; result = 0; is_done = false }
    od
}

/* ---- The relay: relay.py, alignment.py ----------------------------------------------------------------------------- */

#define IS_ALIGNED (ledger == gate && ledger_version == gate_version)

proctype Relay(byte me) {
    byte now, version, result;
    bool is_done;
end:
    do
    :: atomic { !IS_ALIGNED && lock == 0 -> lock = me };
        ALIGN;
        atomic { unlock(); now = 0; version = 0; result = 0; is_done = false }
    :: atomic { overflow > 0 && rows < ledger && lock == 0 -> overflow--; rows++;
            printf("a claim in overflow gets a seat\n")
        }
    od
}

#ifdef LOSES
#define MAY_OVERFLOW true         /* until the ledger has the campaign again */
#else
#define MAY_OVERFLOW false
#endif

/* ---- Users, drain, and what fails ----------------------------------------------------------------------------------- */

proctype Others() {
end:
    do
    :: atomic { accepted < gate -> accepted++; printf("claim %d is accepted\n", accepted) }
    :: atomic { rows + overflow < accepted && rows < ledger -> rows++; printf("the drain writes row %d\n", rows) }
    :: atomic { rows + overflow < accepted && rows >= ledger -> overflow++;
            printf("the drain finds no seat for a claim\n");
            GUARANTEE(3, MAY_OVERFLOW, "an accepted claim has no seat\n")
        }
    :: atomic { FAULT_IF(lock != 0); printf("FAULT: the session of process %d ends, and its lock with it\n", lock); lock = 0 }
#ifdef LOSES
    :: atomic { FAULT_IF(ledger_version > 1); ledger = 2; ledger_version = 1;
            printf("FAULT: the ledger is restored from a backup: 2, version 1\n")
        }
#endif
    od
}

#define IS_AT_REST (lock == 0 && changes == 0 && rows + overflow == accepted && accepted == gate)

init {
    atomic { run Operator(1); run Operator(2); run Relay(3); run Others() }
end:
    do
    :: d_step { IS_AT_REST && IS_ALIGNED && !(overflow > 0 && rows < ledger) ->
            GUARANTEE(3, overflow == 0, "an accepted claim has no seat\n");
            GUARANTEE(1, rows <= ledger, "more rows than coupons\n")
        }
    :: timeout -> printf("BROKEN: stuck\n"); assert(false)
    od
}
