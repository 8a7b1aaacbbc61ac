# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_moon_migrate_global_optspecs
    string join \n h/help V/version
end

function __fish_moon_migrate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_moon_migrate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_moon_migrate_using_subcommand
    set -l cmd (__fish_moon_migrate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -s h -l help -d 'Print help'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -s V -l version -d 'Print version'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -f -a "plan" -d 'Read everything and say what a run would do. Writes nothing'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -f -a "run" -d 'Carry the data over'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -f -a "verify" -d 'Compare a target with the source: keys, databases, digests. Writes nothing'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -f -a "resume" -d 'Go on with a run that was interrupted'
complete -c moon-migrate -n "__fish_moon_migrate_needs_command" -f -a "rollback" -d 'Put the directory that a run has replaced back under its name'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l from -d 'The source, KIND:PATH' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l to -d 'The target, KIND:PATH, or a directory of Moon' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l shards -d 'Shards of the target; this version has one' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l databases -d 'Databases of the target; by default what a directory of Moon has, 16 otherwise, and never fewer than the source uses' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l rdb-version -d 'RDB version of a Redis target: 10 is read by Redis 7.0, 11 by Redis 7.2 and Valkey 7.2 to 8.1, 12 by Redis 7.4' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l accept-loss -d 'Losses that are accepted, as the report names them' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -l dry-run -d 'Do what plan does'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand plan" -s h -l help -d 'Print help'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l from -d 'The source, KIND:PATH' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l to -d 'The target, KIND:PATH, or a directory of Moon' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l shards -d 'Shards of the target; this version has one' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l databases -d 'Databases of the target; by default what a directory of Moon has, 16 otherwise, and never fewer than the source uses' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l rdb-version -d 'RDB version of a Redis target: 10 is read by Redis 7.0, 11 by Redis 7.2 and Valkey 7.2 to 8.1, 12 by Redis 7.4' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l accept-loss -d 'Losses that are accepted, as the report names them' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -l dry-run -d 'Do what plan does'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand run" -s h -l help -d 'Print help'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l from -d 'The source, KIND:PATH' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l to -d 'The target, KIND:PATH, or a directory of Moon' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l shards -d 'Shards of the target; this version has one' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l databases -d 'Databases of the target; by default what a directory of Moon has, 16 otherwise, and never fewer than the source uses' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l rdb-version -d 'RDB version of a Redis target: 10 is read by Redis 7.0, 11 by Redis 7.2 and Valkey 7.2 to 8.1, 12 by Redis 7.4' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l accept-loss -d 'Losses that are accepted, as the report names them' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -l dry-run -d 'Do what plan does'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand verify" -s h -l help -d 'Print help'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand resume" -l to -d 'The directory that the run was to make' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand resume" -s h -l help -d 'Print help'
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand rollback" -l to -d 'The directory that the run was to make' -r
complete -c moon-migrate -n "__fish_moon_migrate_using_subcommand rollback" -s h -l help -d 'Print help'
