# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_moon_inspect_global_optspecs
    string join \n h/help V/version
end

function __fish_moon_inspect_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_moon_inspect_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_moon_inspect_using_subcommand
    set -l cmd (__fish_moon_inspect_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -s V -l version -d 'Print version'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "wal" -d 'The write-ahead log (`shard-<n>/wal-v3/<seq>.wal`)'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "rdb" -d 'Snapshots: bases (`moon.aof.<seq>.base.rdb`), BGSAVE files (`shard-<n>.rrdshard`), and the files of Redis, Valkey and the reference'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "aof" -d 'The guard and the part lists of `appendonlydir`: bases, start of the log, timelines'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "manifest" -d 'The file table of a shard (`shard-<n>/shard-<n>.manifest`), with its two roots'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "storage" -d 'The data directory: `moon.storage`, manifests and every file by its role'
complete -c moon-inspect -n "__fish_moon_inspect_needs_command" -f -a "auto" -d 'Whatever PATH is, told by its magic bytes'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand wal; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand rdb; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand aof; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand manifest; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand storage; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "ls" -d 'Files with version, LSN range and size'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "header" -d 'Every field of the header with its offset, and the cut record if there is one'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "dump" -d 'What is in it, one item a line: of a log LSN, segment:offset, database, type, content; of a snapshot offset, database, type, key, value'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "stats" -d 'Of a log: records and bytes by type and by command, sizes of batches and sync groups, percentiles of the interval between commits. Of a snapshot: keys by database and type, sizes, expiry, compression. Of a file table: files and bytes by type and status'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "verify" -d 'Check every CRC and every rule'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "tail" -d 'Print records as a live log grows. Ends with --limit or an interrupt'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "digest" -d 'The digest of each shard of a data directory, or of a snapshot: that of DEBUG DIGEST'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "diff" -d 'What differs between two snapshots, data directories or LSNs, key by key'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "rebuild" -d 'Make a damaged or lost part list (`aof`) or file table (`manifest`) again'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and not __fish_seen_subcommand_from ls header dump stats verify tail digest diff rebuild times" -f -a "times" -d 'Which LSN was written when; steps of the clock; restore points; the time range covered'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from ls" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from ls" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from header" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from header" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from header" -s h -l help -d 'Print help'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from stats" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from stats" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from stats" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from stats" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from verify" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from verify" -l plan -d 'Write a salvage plan for the damaged logs of a data directory to this new file (`wal` only)' -r -F
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from verify" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l from -d 'First LSN; by default the next one to be written' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l type -d 'Only items of this type: of a log a name (`Command`, `Checkpoint`, ...) or a code (`0x20`), of a snapshot a type of value (`hash`, ...), of a file table a type of page (`KvLeaf`, ...). May be given several times' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l key -d 'Only this key of a snapshot; of a log only records that name it: as a key field, or for commands as any argument behind the name. Escapes as in the output: `\\n`, `\\\\`, `\\x00`' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l limit -d 'Stop after this many items' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l format -d 'How records are shown. With `debezium`, --key means the key that changed, --limit counts events, and --hex and --full mean nothing' -r -f -a "records\t'As `dump` does'
debezium\t'As Debezium events (docs/cdc.md)'"
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l interval -d 'Milliseconds between two looks' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l hex -d 'The bytes in hexadecimal below each item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -l full -d 'Arguments in full; without it each is cut at 64 bytes. JSON is always in full'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from digest" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from digest" -l to -l at -d 'Last LSN that counts; by default everything there is. With several shards choose one by --shard' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from digest" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from digest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -l from -d 'PATH as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -l to -d 'OTHER, or PATH without one, as it was at this LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -l limit -d 'Show so many keys at most; all are counted' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from rebuild" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from rebuild" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -l shard -d 'Only this shard of a data directory' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -l from -d 'First LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -l to -d 'Last LSN' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -l every -d 'At most one row per so many milliseconds of log time; 0 prints every batch' -r
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -l json -d 'One JSON object per item'
complete -c moon-inspect -n "__fish_moon_inspect_using_subcommand auto; and __fish_seen_subcommand_from times" -s h -l help -d 'Print help (see more with \'--help\')'
